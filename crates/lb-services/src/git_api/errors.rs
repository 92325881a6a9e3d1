//! From what a git host answers to what a caller is told.

use http::StatusCode;
use lb_git::{HostError, Kind};
use lb_http::error::{ApiError, code};

/// The error answer. What only an operator can mend is logged in full and told in general.
pub(super) fn api(error: HostError) -> ApiError {
    let name = error.name();
    match error {
        HostError::NotFound { what, name } => {
            ApiError::not_found(not_found(what), format!("{what} `{name}` does not exist"))
        }
        HostError::Moved { .. } => ApiError::new(StatusCode::CONFLICT, "MOVED", error.to_string()),
        HostError::Refused { why } => ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "REFUSED", why),
        HostError::RateLimited { retry_after } => {
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::RATE_LIMITED, "the git host is busy")
                .retry_after(retry_after.as_secs().max(1))
        }
        HostError::TooLarge { what, limit } => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            code::TOO_LARGE,
            format!("{what} is larger than {limit} bytes"),
        ),
        failed @ (HostError::Unreachable { .. }
        | HostError::Malformed { .. }
        | HostError::Denied { .. }
        | HostError::Git { .. }
        | HostError::Io { .. }) => {
            tracing::warn!(error = name, detail = %failed, source = ?std::error::Error::source(&failed), "the git host failed");
            let message = format!("the git host failed ({name}); see the log of git-api");
            ApiError::new(StatusCode::BAD_GATEWAY, "GIT_HOST_FAILED", message)
        }
    }
}

fn not_found(what: Kind) -> &'static str {
    match what {
        Kind::User => code::USER_NOT_FOUND,
        Kind::Repository => code::REPOSITORY_NOT_FOUND,
        Kind::Commit => "COMMIT_NOT_FOUND",
        Kind::Key => "KEY_NOT_FOUND",
        Kind::Token => "TOKEN_NOT_FOUND",
    }
}
