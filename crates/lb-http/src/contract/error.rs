//! What can go wrong in a call to another role.

use std::error::Error;
use std::time::Duration;

use lb_vocab::UnknownReason;

use crate::error::code;

/// A call that did not bring what was asked for. `what` is the call: `GET http://git-api/users/customer/al`.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service says, in our envelope, that the thing does not exist.
    #[error("{what}: {message} ({code})")]
    NotFound {
        /// The call.
        what: String,
        /// Which thing: a constant of [`crate::error::code`].
        code: String,
        /// The service's sentence.
        message: String,
    },
    /// No answer, or one that broke off.
    #[error("{what}: no complete answer: check that the service runs and can be reached")]
    Unreachable {
        /// The call.
        what: String,
        /// What the transport says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// An answer, but not what the contract says.
    #[error("{what}: the answer is not what the contract says: {why}")]
    Malformed {
        /// The call.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// An error answer of any other status than a 404 of ours.
    #[error("{what}: answered {status} {code}: {message}")]
    Refused {
        /// The call.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The envelope's code, empty where there was no envelope.
        code: String,
        /// The envelope's sentence, or the beginning of the body.
        message: String,
        /// When to come back, where the service says so.
        retry_after: Option<Duration>,
    },
    /// The answer is larger than was agreed; the rest was not read.
    #[error("{what}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// The call.
        what: String,
        /// The limit, bytes.
        limit: usize,
    },
}

impl ClientError {
    /// The variant's name: metric label and condition reason.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "NotFound",
            Self::Unreachable { .. } => "Unreachable",
            Self::Malformed { .. } => "Malformed",
            Self::Refused { .. } => "Refused",
            Self::TooLarge { .. } => "TooLarge",
        }
    }

    /// The code of a 404 of ours.
    #[must_use]
    pub fn not_found_code(&self) -> Option<&str> {
        match self {
            Self::NotFound { code, .. } => Some(code),
            Self::Unreachable { .. }
            | Self::Malformed { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. } => None,
        }
    }
}

impl From<&ClientError> for UnknownReason {
    /// A failed call makes a source unknown, never absent.
    fn from(error: &ClientError) -> Self {
        let text = error.to_string();
        match error {
            ClientError::NotFound { code, .. }
                if [code::USER_NOT_FOUND, code::REPOSITORY_NOT_FOUND].contains(&code.as_str()) =>
            {
                Self::RepositoryMissing(text)
            }
            // It is so large at this commit: asking again brings the same.
            ClientError::Refused { code, message, .. } if code == code::TOO_LARGE => {
                Self::Unreadable(message.clone())
            }
            // Another 404 of ours (a route, a commit) says nothing about the repository.
            ClientError::NotFound { .. } => Self::Malformed(text),
            ClientError::Unreachable { .. } | ClientError::Refused { .. } => Self::Unreachable(text),
            ClientError::Malformed { .. } => Self::Malformed(text),
            ClientError::TooLarge { .. } => Self::Unreadable(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_404_is_a_missing_repository() {
        let of = |code: &str| {
            let error = ClientError::NotFound { what: "w".into(), code: code.into(), message: "m".into() };
            UnknownReason::from(&error).name()
        };
        assert_eq!(of("REPOSITORY_NOT_FOUND"), "RepositoryMissing");
        assert_eq!(of("USER_NOT_FOUND"), "RepositoryMissing");
        assert_eq!(of("ROUTE_NOT_FOUND"), "Malformed");
        assert_eq!(of("COMMIT_NOT_FOUND"), "Malformed");
    }

    #[test]
    fn what_is_too_large_is_unreadable_and_no_outage() {
        let of = |code: &str| {
            let (what, message) = ("w".into(), "m".into());
            let error =
                ClientError::Refused { what, status: 413, code: code.into(), message, retry_after: None };
            UnknownReason::from(&error)
        };
        assert_eq!(of("TOO_LARGE"), UnknownReason::Unreadable("m".into()));
        assert_eq!(of("").name(), "Unreachable", "a proxy's own 413 says nothing about git");
    }
}
