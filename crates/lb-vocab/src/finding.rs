//! Findings: what is wrong with a producer's project, and where.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Findings that a status carries at most; the rest is counted.
pub const MAX_REPORTED_FINDINGS: usize = 32;
/// Length of a reported finding's text, bytes.
pub const MAX_FINDING_BYTES: usize = 256;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is held or refused.
    Error,
    /// Something is deployed otherwise than it was asked for.
    Warning,
}

/// What kind of thing a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntityKind {
    /// A file as a whole.
    File,
    /// The project object.
    Project,
    /// A gateway.
    Gateway,
    /// A pipeline of a gateway.
    Pipeline,
    /// A policy of a pipeline or gateway.
    Policy,
    /// A service endpoint.
    ServiceEndpoint,
    /// An API endpoint.
    ApiEndpoint,
    /// A connection.
    Connection,
    /// An api or a portal.
    Api,
    /// A model of the LoopBack project.
    Model,
    /// A data source of the LoopBack project.
    DataSource,
    /// A function.
    Function,
    /// The OpenAPI document.
    OpenApi,
}

impl EntityKind {
    /// The kind in words, as messages have it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Project => "project",
            Self::Gateway => "gateway",
            Self::Pipeline => "pipeline",
            Self::Policy => "policy",
            Self::ServiceEndpoint => "service endpoint",
            Self::ApiEndpoint => "API endpoint",
            Self::Connection => "connection",
            Self::Api => "api",
            Self::Model => "model",
            Self::DataSource => "data source",
            Self::Function => "function",
            Self::OpenApi => "OpenAPI document",
        }
    }
}

/// Where in git an entity came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Repository and path, as a user knows them: `dev/lunchbadger.json`.
    pub file: String,
    /// Line of the outer file, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 where the line as a whole is meant.
    pub column: u32,
    /// JSON pointer (RFC 6901) inside the project object or the file.
    pub pointer: String,
    /// What it is.
    pub kind: EntityKind,
    /// Its name, or its id where it has none.
    pub name: String,
}

impl Place {
    /// A file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        let file = file.into();
        Self { line: 0, column: 0, pointer: String::new(), kind: EntityKind::File, name: file.clone(), file }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        Ok(())
    }
}

/// Something wrong with what a producer keeps in git. A finding never stops another entity, or another producer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// CamelCase name of the rule, stable across versions: metric label and what scripts match on.
    pub code: String,
    /// Where it was found.
    pub place: Place,
    /// One sentence for the producer: what is wrong, and what to do.
    pub message: String,
}

impl Finding {
    /// A finding because of which something is held or refused.
    pub fn error(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code: code.to_owned(), place, message: message.into() }
    }

    /// A finding because of which something is deployed otherwise than asked for.
    pub fn warning(code: &str, place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code: code.to_owned(), place, message: message.into() }
    }

    /// The finding in one line of at most [`MAX_FINDING_BYTES`], for a status.
    #[must_use]
    pub fn line(&self) -> String {
        shortened(self.to_string(), MAX_FINDING_BYTES)
    }

    /// The file and line that the beginning of a [`Finding::line`] names; line 0: the file as a whole.
    #[must_use]
    pub fn place_of(line: &str) -> Option<(&str, u32)> {
        let end = [": error: ", ": warning: "].iter().filter_map(|severity| line.find(severity)).min()?;
        let mut file = &line[..end];
        // Line and column, or the line alone.
        let mut numbers = Vec::new();
        while let Some((rest, last)) = file.rsplit_once(':')
            && numbers.len() < 2
            && let Ok(number) = last.parse::<u32>()
        {
            numbers.push(number);
            file = rest;
        }
        Some((file, numbers.pop().unwrap_or(0)))
    }
}

impl fmt::Display for Finding {
    /// `dev/lunchbadger.json:4:12: error: gateway "main": ...`. Control characters of a producer's text are
    /// replaced, so that a name cannot forge a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: ", printable(&self.place.to_string()))?;
        if self.place.kind != EntityKind::File {
            write!(f, "{} \"{}\": ", self.place.kind.words(), printable(&self.place.name))?;
        }
        f.write_str(&printable(&self.message))
    }
}

/// A text of at most so many bytes, with `…` where it was cut.
#[must_use]
pub fn shortened(mut text: String, max: usize) -> String {
    if text.len() > max {
        let mut cut = max.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{EntityKind, Finding, MAX_FINDING_BYTES, Place};

    fn place(name: &str) -> Place {
        Place {
            file: "dev/lunchbadger.json".into(),
            line: 4,
            column: 12,
            pointer: "/gateways/0".into(),
            kind: EntityKind::Gateway,
            name: name.into(),
        }
    }

    #[test]
    fn a_finding_reads_like_a_compiler_message() {
        let finding = Finding::error("NameMissing", place("main"), "it has no name: give it one");
        assert_eq!(
            finding.to_string(),
            "dev/lunchbadger.json:4:12: error: gateway \"main\": it has no name: give it one"
        );
    }

    #[test]
    fn a_line_tells_its_place() {
        let at = |file: &str, line, column| Place { file: file.into(), line, column, ..place("main") };
        for (place, expected) in [
            (place("main"), ("dev/lunchbadger.json", 4)),
            (place(": error: dev/x:9: warning: "), ("dev/lunchbadger.json", 4)),
            (at("functions/a:7/serverless.yml", 3, 0), ("functions/a:7/serverless.yml", 3)),
            (Place::file("dev/package.json"), ("dev/package.json", 0)),
        ] {
            for finding in
                [Finding::error("X", place.clone(), "m"), Finding::warning("X", place.clone(), "m")]
            {
                assert_eq!(Finding::place_of(&finding.line()), Some(expected), "{place:?}");
            }
        }
        assert_eq!(Finding::place_of("nonsense"), None);
    }

    #[test]
    fn a_name_cannot_forge_a_line_and_a_long_text_is_cut_between_characters() {
        assert!(
            !Finding::warning("X", place("a\nremote: ok\u{1b}[0m"), "m")
                .to_string()
                .contains(['\n', '\u{1b}'])
        );
        for pad in 0..4 {
            let line = Finding::warning("X", place(&"é".repeat(300)), "a".repeat(pad)).line();
            assert!(line.len() <= MAX_FINDING_BYTES && line.ends_with('…'));
        }
    }
}
