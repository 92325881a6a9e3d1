//! Reading requests: every refusal is in the error envelope.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
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
        let bytes = read(request.into_body(), JSON_LIMIT).await?;
        let body: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(ApiError::bad_request("the body must be a JSON object"));
        }
        serde_json::from_slice(body)
            .map(Self)
            .map_err(|error| ApiError::bad_request(format!("the body does not do: {error}")))
    }
}

/// A whole body.
///
/// # Errors
/// 413 where it is larger than `limit` bytes, 400 where it breaks off.
pub async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    to_bytes(body, limit).await.map_err(|error| unreadable(&error, limit))
}

fn unreadable(error: &axum::Error, limit: usize) -> ApiError {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<http_body_util::LengthLimitError>() {
            let message = format!("the body is larger than {limit} bytes");
            return ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message);
        }
        source = inner.source();
    }
    ApiError::bad_request("the body broke off")
}

/// The parameters of the path, decoded.
#[derive(Clone, Debug, Default)]
pub struct Parameters(pub Vec<(String, String)>);

impl Parameters {
    /// The parameter of this name; empty where the route has none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parameters = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::bad_request("the path is not UTF-8"))?;
        Ok(Self(parameters.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()))
    }
}

/// The query.
#[derive(Clone, Debug)]
pub struct QueryOf<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}
