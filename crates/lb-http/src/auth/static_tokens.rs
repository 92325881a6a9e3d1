//! A file of tokens, one a line: `token,name,role[,producer]`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lb_vocab::Digest;
use subtle::{Choice, ConstantTimeEq};

use super::Identity;

const MIN_TOKEN: usize = 16;

/// A token file that does not do. Tokens are never part of it.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("read the token file {path}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("token file {path}, line {line}: {why}; a line is `token,name,role[,producer-env]` with the role operator, system, pod or user", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// Tokens that hold until the file is changed and the process restarted; only their digests are kept.
#[derive(Clone, Debug, Default)]
pub struct StaticTokens(Vec<(Digest, Identity)>);

impl StaticTokens {
    /// Reads a token file. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// Where it cannot be read, or a line is wrong.
    pub fn read(path: &Path) -> Result<Self, TokenFileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| TokenFileError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|(line, why)| TokenFileError::Line { path: path.to_owned(), line, why })
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut tokens = Vec::new();
        let mut seen = BTreeSet::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (token, identity) = entry(line).map_err(|why| (number, why))?;
            let digest = Digest::of(token.as_bytes());
            if !seen.insert(digest.as_str().to_owned()) {
                return Err((number, "the token is there twice".into()));
            }
            tokens.push((digest, identity));
        }
        Ok(Self(tokens))
    }

    /// Whose token this is. Every entry is compared in full, so that time tells nothing.
    #[must_use]
    pub fn identify(&self, token: &str) -> Option<Identity> {
        let digest = Digest::of(token.as_bytes());
        let mut found = None;
        for (known, identity) in &self.0 {
            let equal: Choice = known.as_str().as_bytes().ct_eq(digest.as_str().as_bytes());
            if bool::from(equal) {
                found = Some(identity);
            }
        }
        found.cloned()
    }
}

fn entry(line: &str) -> Result<(&str, Identity), String> {
    let parts: Vec<&str> = line.split(',').map(str::trim).collect();
    let (token, name, role, producer) = match parts[..] {
        [token, name, role] => (token, name, role, None),
        [token, name, role, producer] => (token, name, role, Some(producer)),
        _ => return Err("three or four parts are needed".into()),
    };
    if token.len() < MIN_TOKEN {
        return Err(format!("a token needs at least {MIN_TOKEN} characters"));
    }
    if name.is_empty() {
        return Err("the name is empty".into());
    }
    let identity = match (role, producer) {
        ("operator", None) => Identity::Operator,
        ("system", None) => Identity::System { component: name.to_owned() },
        ("user", None) => Identity::user(name),
        ("pod", Some(producer)) => {
            let producer = producer.parse().map_err(|error: lb_vocab::TextError| error.to_string())?;
            Identity::Pod { producer, component: name.to_owned() }
        }
        ("pod", None) => return Err("a pod needs its producer and environment as fourth part".into()),
        ("operator" | "system" | "user", Some(_)) => return Err("only a pod has a fourth part".into()),
        (other, _) => return Err(format!("`{other}` is no role")),
    };
    Ok((token, identity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: &str = "0123456789abcdef";

    #[test]
    fn each_role_has_its_line() {
        let text = format!(
            "# comment\n\n{T}a,root,operator\n {T}b , actualizer , system\n{T}c,customer-al,user\n{T}d,workspace,pod,big-corp-dev\n"
        );
        let tokens = StaticTokens::parse(&text).unwrap();
        let who = |end: &str| tokens.identify(&format!("{T}{end}")).map(|who| who.to_string());
        assert_eq!(who("a").as_deref(), Some("operator"));
        assert_eq!(who("b").as_deref(), Some("system actualizer"));
        assert_eq!(who("c").as_deref(), Some("user customer-al"));
        assert_eq!(who("d").as_deref(), Some("pod workspace of big-corp-dev"));
        assert_eq!(who("e"), None);
        assert_eq!(who(""), None);
        assert!(!format!("{tokens:?}").contains(T));
    }

    #[test]
    fn a_wrong_line_stops_the_start_and_shows_no_token() {
        for (line, why) in [
            (format!("{T},x"), "three or four"),
            (format!("{T},x,root"), "no role"),
            (format!("{T},x,pod"), "fourth"),
            (format!("{T},x,pod,al"), "no `-`"),
            (format!("{T},x,user,al-dev"), "only a pod"),
            ("short,x,user".to_owned(), "16 characters"),
            (format!("{T},,user"), "empty"),
            (format!("{T},a,user\n{T},b,operator"), "twice"),
        ] {
            let (_, message) = StaticTokens::parse(&line).unwrap_err();
            assert!(message.contains(why) && !message.contains(T), "{line}: {message}");
        }
    }
}
