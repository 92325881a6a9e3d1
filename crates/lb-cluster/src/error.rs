//! What can go wrong with one request, and when to try again.

use std::time::Duration;

use kube::core::Status;

/// In what a `ValidatingAdmissionPolicy` says where it denies something.
const POLICY: &str = "ValidatingAdmissionPolicy '";

/// When to try again what failed, the sooner the less. No stage retries by itself: the queue of its caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// The object moved meanwhile; its watch tells what it is now. Try again at once.
    Soon,
    /// The API server said how long to wait.
    After(Duration),
    /// Wait longer from time to time, with jitter.
    Backoff,
    /// The same request fails again: something has to change first.
    Never,
}

/// A request that failed. The variant's name is the metric's label and the condition's reason.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The API server answered with an error.
    #[error("{attempt}: the API server refused: {} ({} {})", .status.message, .status.code, .status.reason)]
    Refused {
        /// What was attempted, with the object's name.
        attempt: String,
        /// The answer.
        status: Box<Status>,
    },
    /// The API server asks to wait.
    #[error("{attempt}: the API server is busy and asks to wait {after:?}")]
    Throttled {
        /// What was attempted.
        attempt: String,
        /// How long to wait.
        after: Duration,
    },
    /// No answer in time. Whether it was done is not known.
    #[error("{attempt}: no answer within {after:?}")]
    TimedOut {
        /// What was attempted.
        attempt: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// No answer, or none that can be understood.
    #[error("{attempt}: the API server cannot be reached")]
    Unreachable {
        /// What was attempted.
        attempt: String,
        /// Why.
        source: Box<kube::Error>,
    },
    /// Another replica leads, or may: nothing was sent.
    #[error("{attempt}: not done, because this replica does not lead (any more)")]
    NotLeading {
        /// What was attempted.
        attempt: String,
    },
    /// The API server's answer is not what its contract says.
    #[error("{attempt}: the answer makes no sense: {what}")]
    Malformed {
        /// What was attempted.
        attempt: String,
        /// What is wrong with it. Holds nothing of the answer itself, which may be a secret.
        what: String,
    },
}

/// Returned by the request layer instead of a 429 or 503 that says how long to wait.
#[derive(Debug, thiserror::Error)]
#[error("the API server asks to wait {0:?}")]
pub(crate) struct Wait(pub(crate) Duration);

/// Returned by the request layer instead of sending a write without leadership.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead")]
pub(crate) struct Withheld;

impl ApiError {
    /// What an error of kube's means, with what was attempted.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other error of kube's means that no answer was read"
    )]
    pub fn new(attempt: &str, error: kube::Error) -> Self {
        let attempt = attempt.to_owned();
        match error {
            kube::Error::Api(status) if status.code == 429 => {
                let seconds = status.details.map_or(0, |details| details.retry_after_seconds);
                Self::Throttled { attempt, after: Duration::from_secs(u64::from(seconds.max(1))) }
            }
            kube::Error::Api(status) => Self::Refused { attempt, status },
            kube::Error::Service(inner) if inner.is::<Withheld>() => Self::NotLeading { attempt },
            kube::Error::Service(inner) => match inner.downcast::<Wait>() {
                Ok(wait) => Self::Throttled { attempt, after: wait.0 },
                Err(inner) => Self::Unreachable { attempt, source: Box::new(kube::Error::Service(inner)) },
            },
            other => Self::Unreachable { attempt, source: Box::new(other) },
        }
    }

    /// The HTTP status that the API server answered with.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.code),
            Self::Throttled { .. } => Some(429),
            Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::NotLeading { .. }
            | Self::Malformed { .. } => None,
        }
    }

    /// The object, or its namespace, does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The object is not what the request said it is.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// When to try again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Refused { status, .. } => match status.code {
                409 => Retry::Soon,
                // Server-side apply answers a field that does not exist with 500.
                500 if status.message.starts_with("failed to create typed patch object") => Retry::Never,
                // An admission policy refuses as invalid, is not watched, and may go again.
                422 if status.message.contains(POLICY) => Retry::Backoff,
                400 | 405 | 413 | 415 | 422 => Retry::Never,
                // A right or a namespace may still be given to us.
                _ => Retry::Backoff,
            },
            Self::Throttled { after, .. } => Retry::After(*after),
            // A leader whose clock jumped renews its lease a moment later, and goes on as if nothing had been.
            Self::TimedOut { .. }
            | Self::Unreachable { .. }
            | Self::NotLeading { .. }
            | Self::Malformed { .. } => Retry::Backoff,
        }
    }

    /// The variant's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "Refused",
            Self::Throttled { .. } => "Throttled",
            Self::TimedOut { .. } => "TimedOut",
            Self::Unreachable { .. } => "Unreachable",
            Self::NotLeading { .. } => "NotLeading",
            Self::Malformed { .. } => "Malformed",
        }
    }

    /// The managers and fields of a server-side apply's conflict: `(message, field)` each; empty for other errors.
    pub(crate) fn conflicts(&self) -> Vec<(&str, &str)> {
        let Self::Refused { status, .. } = self else { return Vec::new() };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes
            .filter(|cause| cause.reason == "FieldManagerConflict")
            .map(|cause| (cause.message.as_str(), cause.field.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> ApiError {
        ApiError::new(
            "apply Service s",
            kube::Error::Api(Status::failure(message, "R").with_code(code).boxed()),
        )
    }

    #[test]
    fn each_answer_has_its_time_to_try_again() {
        for (code, retry) in [
            (409, Retry::Soon),
            (422, Retry::Never),
            (400, Retry::Never),
            (403, Retry::Backoff),
            (404, Retry::Backoff),
            (500, Retry::Backoff),
            (503, Retry::Backoff),
            (429, Retry::After(Duration::from_secs(1))),
        ] {
            assert_eq!(refused(code, "m").retry(), retry, "{code}");
        }
        let unknown_field = refused(500, "failed to create typed patch object (/d; /v1, Kind=ConfigMap): .x");
        assert_eq!(unknown_field.retry(), Retry::Never);
        let denied = refused(
            422,
            "services \"s\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied",
        );
        assert_eq!(denied.retry(), Retry::Backoff);
        let wait = ApiError::new("a", kube::Error::Service(Box::new(Wait(Duration::from_secs(7)))));
        assert_eq!(wait.retry(), Retry::After(Duration::from_secs(7)));
        let withheld = ApiError::new("a", kube::Error::Service(Box::new(Withheld)));
        assert_eq!((withheld.name(), withheld.retry()), ("NotLeading", Retry::Backoff));
    }

    #[test]
    fn the_text_says_what_was_attempted() {
        assert_eq!(refused(422, "bad").to_string(), "apply Service s: the API server refused: bad (422 R)");
    }
}
