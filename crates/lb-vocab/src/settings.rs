//! Settings: a table of variables per role, read once.
//!
//! A role declares its variables as [`Variable`] constants in one table and reads them through a [`Reader`] into
//! its struct. The table is what `docs/settings.md` is generated from, so that a variable cannot exist without its
//! line there. Reading collects every error before it gives up, and knows which value is a secret.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Secret;

/// One environment variable.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What holds where it is not set; `None` where there is no default.
    pub default: Option<&'static str>,
    /// What it means, with the unit.
    pub meaning: &'static str,
}

/// A variable that is accepted and no longer has an effect.
#[derive(Clone, Copy, Debug)]
pub struct Retired {
    /// Its name.
    pub name: &'static str,
    /// Why it is no longer needed.
    pub why: &'static str,
}

/// A value that stops the start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    /// The variable.
    pub name: &'static str,
    /// What is wrong, and what would be right. Never holds a secret's value.
    pub problem: String,
}

/// Whether requests need a token: `AUTH_MODE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMode {
    /// Every route has its rule.
    #[default]
    Tokens,
    /// Everybody is the operator. For closed development set-ups: no `internal-` host is published then.
    None,
}

impl FromStr for AuthMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "tokens" => Ok(Self::Tokens),
            "none" => Ok(Self::None),
            _ => Err("`tokens` and `none` exist"),
        }
    }
}

/// Reads variables from a copy of the environment that the binary took.
#[derive(Debug)]
pub struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    errors: Vec<SettingError>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    /// A reader over a copy of the environment.
    #[must_use]
    pub fn new(variables: &'a BTreeMap<String, String>) -> Self {
        Self { variables, errors: Vec::new(), warnings: Vec::new() }
    }

    /// The text of a variable, or its default. Set and empty counts as not set.
    pub fn text(&mut self, variable: &Variable) -> Option<String> {
        self.variables
            .get(variable.name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
            .or(variable.default)
            .map(str::to_owned)
    }

    /// The text of a variable that needs one.
    pub fn required(&mut self, variable: &Variable) -> String {
        self.text(variable).unwrap_or_else(|| {
            self.fail(variable, format!("it is not set and has no default; it is {}", variable.meaning));
            String::new()
        })
    }

    /// A secret's text: never part of an error.
    pub fn secret(&mut self, variable: &Variable) -> Option<Secret> {
        self.text(variable).map(Secret::new)
    }

    /// A variable with a default, of a type that parses. A wrong value is noted and the default taken, so that reading
    /// goes on to the next error.
    ///
    /// # Panics
    /// Where the table's default does not parse: a role's test reads every default.
    pub fn parsed<T: FromStr>(&mut self, variable: &Variable) -> T
    where
        T::Err: Display,
    {
        match self.optional(variable).or_else(|| variable.default?.parse().ok()) {
            Some(value) => value,
            None => unreachable!("the default of {} in the table parses, as a test shows", variable.name),
        }
    }

    /// A variable of a type that parses: `None` where it is not set and has no default, and where it is wrong.
    pub fn optional<T: FromStr>(&mut self, variable: &Variable) -> Option<T>
    where
        T::Err: Display,
    {
        let text = self.text(variable)?;
        self.parse(variable, &text)
    }

    /// A comma-separated list of a type that parses; every wrong item is noted.
    pub fn many<T: FromStr>(&mut self, variable: &Variable) -> Vec<T>
    where
        T::Err: Display,
    {
        let items = self.list(variable);
        items.iter().filter_map(|item| self.parse(variable, item)).collect()
    }

    fn parse<T: FromStr>(&mut self, variable: &Variable, text: &str) -> Option<T>
    where
        T::Err: Display,
    {
        text.parse()
            .inspect_err(|error| {
                self.fail(variable, format!("`{text}` does not do ({error}); it is {}", variable.meaning));
            })
            .ok()
    }

    /// On for any value but empty, `false`, `0`, `off` and `no`.
    pub fn switch(&mut self, variable: &Variable) -> bool {
        self.text(variable)
            .is_some_and(|value| !["false", "0", "off", "no"].contains(&value.to_ascii_lowercase().as_str()))
    }

    /// Milliseconds, as `SLEEP_TIME` has them.
    pub fn milliseconds(&mut self, variable: &Variable) -> std::time::Duration {
        std::time::Duration::from_millis(self.parsed(variable))
    }

    /// A comma-separated list; blanks around items and empty items are dropped.
    pub fn list(&mut self, variable: &Variable) -> Vec<String> {
        self.text(variable)
            .unwrap_or_default()
            .split(',')
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }

    /// Warns about variables that are set and no longer have an effect.
    pub fn retired(&mut self, retired: &[Retired]) {
        for old in retired {
            if self.variables.contains_key(old.name) {
                self.warnings.push(format!("{} is set and has no effect any more: {}", old.name, old.why));
            }
        }
    }

    /// Notes that a value does not do.
    pub fn fail(&mut self, variable: &Variable, problem: impl Into<String>) {
        self.errors.push(SettingError { name: variable.name, problem: problem.into() });
    }

    /// Notes something the operator should know.
    pub fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    /// Ends the reading: the value with the warnings to log, or every error.
    ///
    /// # Errors
    /// Where a value was wrong or missing: all of them, in the order they were read.
    pub fn finish<T>(self, value: T) -> Result<(T, Vec<String>), Vec<SettingError>> {
        if self.errors.is_empty() { Ok((value, self.warnings)) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: Variable = Variable { name: "PORT", default: Some("80"), meaning: "the port to listen on" };
    const TOKEN: Variable = Variable { name: "TOKEN", default: None, meaning: "a token" };
    const AUTO: Variable = Variable { name: "AUTO", default: None, meaning: "a switch" };

    fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_error_is_named_at_once() {
        let variables = vars(&[("PORT", "eighty")]);
        let mut reader = Reader::new(&variables);
        let port: u16 = reader.parsed(&PORT);
        let token = reader.required(&TOKEN);
        let errors = reader.finish((port, token)).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.name).collect::<Vec<_>>(), ["PORT", "TOKEN"]);
        assert!(
            errors[0].to_string().contains("eighty")
                && errors[0].to_string().contains("the port to listen on")
        );
    }

    #[test]
    fn a_switch_that_says_false_is_off() {
        for (value, on) in
            [("false", false), ("0", false), ("", false), ("OFF", false), ("1", true), ("yes", true)]
        {
            assert_eq!(Reader::new(&vars(&[("AUTO", value)])).switch(&AUTO), on, "{value}");
        }
        assert!(!Reader::new(&vars(&[])).switch(&AUTO));
    }

    #[test]
    fn defaults_lists_and_retired_variables() {
        let variables = vars(&[("AUTO", " a, ,b ,"), ("OLD", "x")]);
        let mut reader = Reader::new(&variables);
        assert_eq!(reader.parsed::<u16>(&PORT), 80);
        assert_eq!(reader.list(&AUTO), ["a", "b"]);
        reader.retired(&[Retired { name: "OLD", why: "because" }]);
        assert_eq!((reader.optional::<u16>(&PORT), reader.optional::<u16>(&TOKEN)), (Some(80), None));
        assert_eq!(reader.many::<char>(&AUTO), ['a', 'b']);
        let ((), warnings) = reader.finish(()).unwrap();
        assert_eq!(warnings, ["OLD is set and has no effect any more: because"]);
    }
}
