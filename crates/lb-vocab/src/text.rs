//! Text with rules: a type whose values were checked, and the error of text that does not follow them.

/// Characters of a refused text that its error shows.
const MAX_SHOWN: usize = 120;

/// Text that does not follow the rules of its kind. It is shown cut, and cannot forge a line of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {kind}: {why}")]
pub struct TextError {
    text: String,
    kind: &'static str,
    why: &'static str,
}

impl TextError {
    /// `text` is not `kind` (`a producer name`): `why` says which rule it breaks.
    #[must_use]
    pub fn new(text: &str, kind: &'static str, why: &'static str) -> Self {
        let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        Self { text: text.chars().take(MAX_SHOWN).map(visible).collect(), kind, why }
    }
}

/// Declares a type of text that is checked once, where it enters: it parses from text (in serde's formats, too), and
/// is shown and written as its text.
///
/// The check is a `fn(&str) -> Result<(), &'static str>` that answers which rule is broken, and the error is
/// [`TextError`]; or, where the type is followed by `: Error`, a `fn(&str) -> Result<(), Error>`. The crate that
/// declares one needs `serde`.
///
/// ```
/// lb_vocab::checked_text!(
///     /// A colour that a flag may have.
///     Colour,
///     "a colour",
///     |text| ["red", "green"].contains(&text).then_some(()).ok_or("`red` and `green` are")
/// );
///
/// assert_eq!("red".parse::<Colour>()?.as_str(), "red");
/// assert_eq!("blue".parse::<Colour>().unwrap_err().to_string(), "`blue` is not a colour: `red` and `green` are");
/// # Ok::<(), lb_vocab::TextError>(())
/// ```
#[macro_export]
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $crate::checked_text!($(#[$doc])* $name: $crate::TextError, |text| {
            let check: fn(&str) -> ::std::result::Result<(), &'static str> = $check;
            check(text).map_err(|why| $crate::TextError::new(text, $kind, why))
        });
    };
    ($(#[$doc:meta])* $name:ident: $error:ty, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> ::std::result::Result<Self, $error> {
                let check: fn(&str) -> ::std::result::Result<(), $error> = $check;
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl ::std::convert::TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> ::std::result::Result<Self, $error> {
                text.parse()
            }
        }

        impl ::std::convert::From<$name> for String {
            fn from(checked: $name) -> Self {
                checked.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// Whether text is a DNS label of at most `max` characters, or which rule it breaks.
///
/// # Errors
/// Where it is none.
pub fn dns_label(text: &str, max: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > max {
        return Err("it is too long");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only a-z, 0-9 and `-` are allowed");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return Err("it starts or ends with `-`");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::TextError;
    use crate::ProducerName;

    #[test]
    fn text_is_checked_and_written_as_itself_in_every_format() {
        let name: ProducerName = serde_json::from_str(r#""big-corp""#).unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""big-corp""#);
        assert_eq!((format!("{name}"), format!("{name:?}")), ("big-corp".into(), "big-corp".into()));
        let refused = serde_json::from_str::<ProducerName>(r#""Al""#).unwrap_err();
        assert_eq!(refused.to_string(), "`Al` is not a producer name: only a-z, 0-9 and `-` are allowed");
    }

    #[test]
    fn an_error_cannot_forge_a_line() {
        let error = TextError::new("a\nb\u{7f}", "a login", "it has control characters");
        assert_eq!(error.to_string(), "`a\u{fffd}b\u{fffd}` is not a login: it has control characters");
    }

    #[test]
    fn an_error_shows_the_beginning_of_a_long_text() {
        let shown = TextError::new(&"ä".repeat(500), "a login", "it is too long").to_string();
        assert_eq!(shown, format!("`{}` is not a login: it is too long", "ä".repeat(120)));
    }
}
