//! Reading requests: every refusal is in the error envelope.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use http::StatusCode;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The largest JSON body that is read, bytes.
pub const JSON_LIMIT: usize = 1 << 20;

/// A JSON object as body, of whatever `Content-Type`. An empty body reads as `{}`.
#[derive(Clone, Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), JSON_LIMIT).await.map_err(|error| unreadable(&error))?;
        let body: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(ApiError::bad_request("the body must be a JSON object"));
        }
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body does not do: {error}")))
    }
}

fn unreadable(error: &axum::Error) -> ApiError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            let message = format!("the body is larger than {JSON_LIMIT} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message);
        }
        source = inner.source();
    }
    ApiError::bad_request("the body broke off")
}
