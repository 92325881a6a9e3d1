//! The error envelope: `{"error":{"statusCode":404,"name":"NotFound","code":"REPOSITORY_NOT_FOUND","message":".."}}`.
//!
//! It is what tells an answer of ours from one of a proxy: only a 404 in this envelope, with the code that belongs
//! to the question, says that something does not exist.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

/// Codes that callers decide on. Any other code is for people.
pub mod code {
    /// The git user does not exist.
    pub const USER_NOT_FOUND: &str = "USER_NOT_FOUND";
    /// The user exists, the repository does not.
    pub const REPOSITORY_NOT_FOUND: &str = "REPOSITORY_NOT_FOUND";
    /// The producer does not exist.
    pub const PRODUCER_NOT_FOUND: &str = "PRODUCER_NOT_FOUND";
    /// No route has this path.
    pub const ROUTE_NOT_FOUND: &str = "ROUTE_NOT_FOUND";
    /// What was asked for is over a limit of size or number, whenever it is asked for.
    pub const TOO_LARGE: &str = "TOO_LARGE";
    /// Who calls is unknown.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// Who calls is known, and may not.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// Too many requests at once.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
}

/// The body of an error answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The HTTP status once more.
    pub status_code: u16,
    /// The status in one word: `NotFound`.
    pub name: String,
    /// What scripts match on: `REPOSITORY_NOT_FOUND`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// What is wrong with which part of what was sent, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<serde_json::Value>,
}

/// An error answer. It is what handlers return; nothing secret and nothing of the inside goes into its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status} {code}: {message}")]
pub struct ApiError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after: Option<u64>,
    challenge: Option<&'static str>,
    closes: bool,
    name: Option<&'static str>,
    details: Option<Box<serde_json::Value>>,
}

impl ApiError {
    /// An error of this status, code and sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
            challenge: None,
            closes: false,
            name: None,
            details: None,
        }
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
    }

    /// 401, with the challenge that makes the `git` client ask for a password.
    #[must_use]
    pub fn unauthenticated() -> Self {
        let message = "credentials are missing, wrong or expired: send `Authorization: Bearer <token>`, or a git user's name and token";
        let error = Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, message);
        Self { challenge: Some("Basic realm=\"LunchBadger\", charset=\"UTF-8\""), ..error }
    }

    /// 403: who calls is known, and may not.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN, "these credentials do not allow this")
    }

    /// 404 with its code.
    pub fn not_found(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// The caller should come back after this many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The request is not read to its end. Without this a client could send its next one on the connection while it is
    /// being closed.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// Another name than the status in one word: `ValidationError`, as LoopBack's clients know it.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// What is wrong with which part of what was sent.
    #[must_use]
    pub fn details(self, details: serde_json::Value) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What scripts match on.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self { status, code, message, retry_after, challenge, closes, name, details } = self;
        let reason = || status.canonical_reason().unwrap_or("Error").replace([' ', '-', '\''], "");
        let name = name.map_or_else(reason, str::to_owned);
        let details = details.map(|details| *details);
        let body =
            Envelope { error: ErrorBody { status_code: status.as_u16(), name, code, message, details } };
        let mut response = (status, axum::Json(body)).into_response();
        if closes {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_its_four_keys() {
        let response = ApiError::not_found(code::USER_NOT_FOUND, "no git user `customer-al`").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        let body = Envelope {
            error: ErrorBody {
                status_code: 404,
                name: "NotFound".into(),
                code: "USER_NOT_FOUND".into(),
                message: "m".into(),
                details: None,
            },
        };
        let json = serde_json::to_value(&body).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"error": {"statusCode": 404, "name": "NotFound", "code": "USER_NOT_FOUND", "message": "m"}})
        );
    }
}
