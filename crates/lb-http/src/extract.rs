//! Reading requests: every refusal is in the error envelope.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use futures::StreamExt;
use http::{StatusCode, header};
use lb_vocab::TextError;
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
        json_object(request, JSON_LIMIT).await.map(Self)
    }
}

/// A JSON object as body, of at most `limit` bytes and whatever `Content-Type`. An empty body reads as `{}`.
///
/// # Errors
/// 413 where it is larger, 400 where it is something else.
pub async fn json_object<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, ApiError> {
    let bytes = read_whole(request, limit).await?;
    let body: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(ApiError::bad_request("the body must be a JSON object"));
    }
    serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("the body does not do: {error}")))
}

/// Reads a request's body as a whole.
///
/// # Errors
/// As [`read_pieces`].
pub async fn read_whole(request: Request, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut whole = Vec::new();
    read_pieces(request, limit, |piece| whole.extend_from_slice(piece)).await?;
    Ok(whole)
}

/// Reads a request's body and gives each piece of it to `take`; what is announced as too large is not read at all.
///
/// # Errors
/// 413 where it is larger than `limit` bytes, 400 where it breaks off.
pub async fn read_pieces(
    request: Request,
    limit: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<(), ApiError> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", message).closing()
    };
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if announced.and_then(|text| text.parse::<u64>().ok()).is_some_and(|bytes| bytes > limit as u64) {
        return Err(too_large());
    }
    let mut pieces = request.into_body().into_data_stream();
    let mut room = limit;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ApiError::bad_request("the body broke off"))?;
        room = room.checked_sub(piece.len()).ok_or_else(too_large)?;
        take(&piece);
    }
    Ok(())
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

    /// The parameter of this name, checked.
    ///
    /// # Errors
    /// 400 where it is no such text.
    pub fn parsed<T: FromStr<Err = TextError>>(&self, name: &str) -> Result<T, ApiError> {
        self.get(name).parse().map_err(|error: TextError| ApiError::bad_request(error.to_string()))
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
