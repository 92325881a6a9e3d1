//! What a git host's answer may be instead of the wanted one.

use std::fmt;
use std::io;
use std::time::Duration;

/// What a host did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A git user.
    User,
    /// A repository of a user that exists.
    Repository,
    /// A commit, or a reference that leads to one, in a repository that exists.
    Commit,
    /// A public key.
    Key,
    /// A token.
    Token,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "git user",
            Self::Repository => "repository",
            Self::Commit => "commit",
            Self::Key => "public key",
            Self::Token => "token",
        })
    }
}

/// Why a git host did not do what it was asked. None of these proves that something is absent, but `NotFound`.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The host answered, and what was asked for does not exist.
    #[error("{what} `{name}` does not exist")]
    NotFound {
        /// The kind of thing.
        what: Kind,
        /// Its name, as it was asked for.
        name: String,
    },
    /// It has another name or owner now, and what was asked for is only a hint to that.
    #[error("{what} was renamed or transferred (to {to}): give it its name back, or create it anew")]
    Moved {
        /// The kind of thing, with its name.
        what: String,
        /// What the host says where it is.
        to: String,
    },
    /// The host does not let us: its administrator's token is wrong, expired, or lacks a right.
    #[error("{doing}: the git host does not accept our token: {why}")]
    Denied {
        /// What was attempted, with the name.
        doing: String,
        /// What the host says.
        why: String,
    },
    /// What was asked for is against the host's rules (HTTP 422). The text is for the person who asked.
    #[error("{why}")]
    Refused {
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Too much at once; nothing was done.
    #[error("the git host is busy: try again in {} s", retry_after.as_secs().max(1))]
    RateLimited {
        /// When to try again.
        retry_after: Duration,
    },
    /// The host could not be reached, or did not answer in time.
    #[error("{doing}: the git host does not answer: {why}")]
    Unreachable {
        /// What was attempted, with the name.
        doing: String,
        /// What happened.
        why: String,
    },
    /// The host answered, but not with what its contract says; or what it stores is damaged.
    #[error("{doing}: the answer makes no sense: {why}")]
    Malformed {
        /// What was attempted, with the name.
        doing: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// More than the limit (HTTP 413); nothing was done.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, bytes.
        limit: u64,
    },
    /// `git` gave up.
    #[error("{doing}: git failed: {why}")]
    Git {
        /// What was attempted, with the name.
        doing: String,
        /// Its last words, printable, at most 500 characters.
        why: String,
    },
    /// The file system, or the start of a process.
    #[error("{doing}")]
    Io {
        /// What was attempted, with the name.
        doing: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl HostError {
    /// The variant's name: metric label and condition reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::Moved { .. } => "Moved",
            Self::Denied { .. } => "Denied",
            Self::Refused { .. } => "Refused",
            Self::RateLimited { .. } => "RateLimited",
            Self::Unreachable { .. } => "Unreachable",
            Self::Malformed { .. } => "Malformed",
            Self::TooLarge { .. } => "TooLarge",
            Self::Git { .. } => "Git",
            Self::Io { .. } => "Io",
        }
    }

    pub(crate) fn not_found(what: Kind, name: impl fmt::Display) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }

    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into() }
    }

    pub(crate) fn malformed(doing: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Malformed { doing: doing.into(), why: why.to_string() }
    }

    /// For `map_err`: an I/O error with what was attempted.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }
}
