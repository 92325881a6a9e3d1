//! What can go wrong with a working copy.

use std::fmt;
use std::io;

use lb_vocab::SafePath;

use crate::error::HostError;
use crate::process::ProcessError;

/// A working copy cannot do what was asked. `doing` says what was attempted, with which name.
#[derive(Debug, thiserror::Error)]
pub enum WorkingError {
    /// The git host does not answer, or does not let us: to be tried again.
    #[error("{doing}: {why}")]
    Unreachable {
        /// What was attempted.
        doing: String,
        /// What git says.
        why: String,
    },
    /// The token file holds no token.
    #[error("{doing}: there is no token to show: check the file of the pod's identity")]
    NoToken {
        /// What was attempted.
        doing: String,
    },
    /// The clone is damaged: objects are missing, or git does not understand it.
    #[error("{doing}: the clone is damaged: {why}")]
    Broken {
        /// What was attempted.
        doing: String,
        /// What is wrong with it.
        why: String,
    },
    /// The file system, or the start of a process.
    #[error("{doing}")]
    Io {
        /// What was attempted.
        doing: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The directory is in use, or git is too old.
    #[error("open the clone")]
    Directory(#[from] HostError),
}

impl WorkingError {
    /// The variant's name: metric label and condition reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Unreachable",
            Self::NoToken { .. } => "NoToken",
            Self::Broken { .. } => "Broken",
            Self::Io { .. } => "Io",
            Self::Directory(_) => "Directory",
        }
    }

    /// Whether the disk has no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    pub(super) fn broken(doing: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::Broken { doing: doing.into(), why: why.to_string() }
    }

    /// For `map_err`: an I/O error with what was attempted.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::Io { doing, source }
    }

    /// For `map_err`: a process that talked to the git host.
    pub(super) fn remote(doing: impl Into<String>) -> impl FnOnce(ProcessError) -> Self {
        let doing = doing.into();
        |error| match error {
            ProcessError::Io(source) => Self::Io { doing, source },
            ProcessError::Slow(_) | ProcessError::Verbose(_) | ProcessError::Failed(..) => {
                Self::Unreachable { doing, why: error.to_string() }
            }
        }
    }

    /// For `map_err`: a process that read the clone.
    pub(super) fn local(doing: impl Into<String>) -> impl FnOnce(ProcessError) -> Self {
        let doing = doing.into();
        |error| match error {
            ProcessError::Io(source) if source.kind() != io::ErrorKind::InvalidData => {
                Self::Io { doing, source }
            }
            ProcessError::Io(_)
            | ProcessError::Slow(_)
            | ProcessError::Verbose(_)
            | ProcessError::Failed(..) => Self::Broken { doing, why: lb_vocab::with_causes(&error) },
        }
    }
}

/// A change that cannot be made. Nothing was.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Something else than a directory stands on the way.
    #[error("`{path}` cannot be written: a part of it is no directory")]
    NotADirectory {
        /// The path.
        path: SafePath,
    },
    /// A directory stands there.
    #[error("`{path}` cannot be written: it is a directory")]
    IsADirectory {
        /// The path.
        path: SafePath,
    },
    /// A symbolic link or a submodule stands there.
    #[error("`{path}` cannot be written: it is a symbolic link or a submodule")]
    NotAFile {
        /// The path.
        path: SafePath,
    },
    /// An object cannot be made.
    #[error(transparent)]
    Working(#[from] WorkingError),
}
