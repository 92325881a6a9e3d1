//! What is known of something outside.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::CommitId;

/// What is known about a thing that is kept elsewhere. **Unknown is not empty**: only `Known` and `Absent` are
/// grounds to remove anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<T> {
    /// It was read, at this commit.
    Known(T, CommitId),
    /// It is proven not to exist: at a commit, or (`None`) by a complete, empty listing of references of a
    /// repository that never had a revision.
    Absent(Option<CommitId>),
    /// Nothing can be said. The last good state is held.
    Unknown(UnknownReason),
}

impl<T> Source<T> {
    /// The commit at which it is known, or known to be absent.
    pub fn commit(&self) -> Option<&CommitId> {
        match self {
            Self::Known(_, commit) => Some(commit),
            Self::Absent(commit) => commit.as_ref(),
            Self::Unknown(_) => None,
        }
    }

    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value, _) => Some(value),
            Self::Absent(_) | Self::Unknown(_) => None,
        }
    }

    /// Why it is unknown, if it is.
    pub fn unknown(&self) -> Option<&UnknownReason> {
        match self {
            Self::Unknown(reason) => Some(reason),
            Self::Known(..) | Self::Absent(_) => None,
        }
    }
}

/// Why nothing can be said about a source. The variant's name is the condition's reason.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum UnknownReason {
    /// The service that holds it did not answer, or answered with an error.
    Unreachable(String),
    /// It answered, but not with what its contract says.
    Malformed(String),
    /// The branch is missing although the repository had, or has, other references.
    BranchMissing(String),
    /// The repository does not exist (any more).
    RepositoryMissing(String),
    /// It was read and cannot be understood.
    Unreadable(String),
}

impl UnknownReason {
    /// The variant's name: metric label and condition reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "Unreachable",
            Self::Malformed(_) => "Malformed",
            Self::BranchMissing(_) => "BranchMissing",
            Self::RepositoryMissing(_) => "RepositoryMissing",
            Self::Unreadable(_) => "Unreadable",
        }
    }
}

impl fmt::Display for UnknownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(what)
            | Self::Malformed(what)
            | Self::BranchMissing(what)
            | Self::RepositoryMissing(what)
            | Self::Unreadable(what) => f.write_str(what),
        }
    }
}
