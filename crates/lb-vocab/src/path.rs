//! Paths inside a repository.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A relative, `/`-separated path of a file inside a repository: it cannot leave the repository and cannot name
/// anything of git's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SafePath(String);

/// Text that is not a path inside a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside a repository: {why}")]
pub struct PathError {
    path: String,
    why: &'static str,
}

impl SafePath {
    /// The path's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory part, `None` for a file at the root.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// The last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }
}

impl FromStr for SafePath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let refuse = |why| Err(PathError { path: text.chars().take(120).collect(), why });
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > 1024 {
            return refuse("it is longer than 1024 bytes");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return refuse("it has a control character or a backslash");
        }
        for segment in text.split('/') {
            match segment {
                "" => return refuse("it starts or ends with `/`, or has an empty segment"),
                "." | ".." => return refuse("`.` and `..` are not allowed"),
                _ if segment.eq_ignore_ascii_case(".git") => return refuse("`.git` is git's own"),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for SafePath {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl From<SafePath> for String {
    fn from(path: SafePath) -> Self {
        path.0
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SafePath;

    #[test]
    fn leaving_the_repository_is_refused() {
        for good in ["lunchbadger.json", "common/models/car.json", ".gitignore", "a..b", "ä/ö"] {
            assert_eq!(good.parse::<SafePath>().unwrap().as_str(), good);
        }
        for bad in
            ["", "/a", "a/", "a//b", "..", "a/../b", ".", ".git/config", "a/.GIT/x", "a\\b", "a\0b", "a\nb"]
        {
            assert!(bad.parse::<SafePath>().is_err(), "{bad:?}");
        }
    }
}
