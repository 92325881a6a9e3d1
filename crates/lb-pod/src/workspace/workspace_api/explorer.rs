//! `/explorer`: the app itself, as who may read or write the project sees it at the internal host.
//!
//! The app is a stranger to whoever calls: it gets none of the caller's credentials, and may set no cookies at a host that
//! it shares with our APIs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, StatusCode, header};
use lb_http::error::ApiError;
use tokio::sync::Semaphore;

use super::Shared;

/// A request's body, bytes.
const REQUEST: usize = 16 << 20;
/// An answer's body, bytes.
const ANSWER: usize = 64 << 20;
/// Requests at once.
const REQUESTS: usize = 32;
/// From one piece of an answer to the next.
const IDLE: Duration = Duration::from_secs(30);

/// Headers that are about one connection (RFC 9110, 7.6.1), beside those that `connection` names.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// What the app is not told.
const OURS: [HeaderName; 4] =
    [header::AUTHORIZATION, header::COOKIE, header::HOST, HeaderName::from_static("x-lunchbadger-user")];

/// The way to the app.
#[derive(Debug)]
pub(in super::super) struct Explorer {
    app: SocketAddr,
    http: reqwest::Client,
    places: Arc<Semaphore>,
}

impl Explorer {
    /// To the app at this address.
    pub(in super::super) fn new(app: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(3))
            .read_timeout(IDLE)
            .tls_certs_only([])
            .build()
            .unwrap_or_default();
        Self { app, http, places: Arc::new(Semaphore::new(REQUESTS)) }
    }
}

/// Passes a request on to the app, without its first part of the path.
pub(super) async fn pass(State(workspace): State<Shared>, request: Request) -> Result<Response, ApiError> {
    let explorer = &workspace.explorer;
    let busy = || {
        let message = format!("the app answers {REQUESTS} requests already");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "APP_BUSY", message).retry_after(1)
    };
    let place = Arc::clone(&explorer.places).try_acquire_owned().map_err(|_| busy())?;
    let (mut parts, body) = request.into_parts();
    let whole = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let path = whole.strip_prefix("/explorer").unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let url = format!("http://{}{slash}{path}", explorer.app);
    clean(&mut parts.headers);
    OURS.iter().for_each(|name| drop(parts.headers.remove(name)));
    let mut passed = explorer.http.request(parts.method, url).headers(parts.headers);
    if !axum::body::HttpBody::is_end_stream(&body) {
        passed = passed.body(reqwest::Body::wrap_stream(at_most(REQUEST, body.into_data_stream())));
    }
    let answer = passed.send().await.map_err(|error| {
        tracing::debug!(%error, "the app does not answer");
        ApiError::new(
            StatusCode::BAD_GATEWAY,
            "APP_SILENT",
            "the app does not answer: see the workspace's status",
        )
    })?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    let mut headers = answer.headers().clone();
    clean(&mut headers);
    headers.remove(header::SET_COOKIE);
    // Who may call from a browser is ours to say.
    let cors: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    cors.iter().for_each(|name| drop(headers.remove(name)));
    *response.headers_mut() = headers;
    *response.body_mut() = Body::from_stream(at_most(ANSWER, answer.bytes_stream()).map(move |piece| {
        let _place = &place;
        piece
    }));
    Ok(response)
}

/// Removes what is about one connection.
fn clean(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    HOP_BY_HOP.iter().chain(&named).for_each(|name| drop(headers.remove(name)));
}

/// A body that breaks off where it is larger than `limit` bytes.
fn at_most<E: std::error::Error + Send + Sync + 'static>(
    limit: usize,
    pieces: impl Stream<Item = Result<bytes::Bytes, E>> + Send + 'static,
) -> impl Stream<Item = std::io::Result<bytes::Bytes>> + Send + 'static {
    pieces.scan(limit, move |room, piece| {
        let piece = piece.map_err(std::io::Error::other).and_then(|piece| {
            *room = room
                .checked_sub(piece.len())
                .ok_or_else(|| std::io::Error::other(format!("it is larger than {limit} bytes")))?;
            Ok(piece)
        });
        std::future::ready(Some(piece))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_a_connection_stay_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Own"), ("x-own", "1"), ("upgrade", "x"), ("te", "y"), ("accept", "z")]
        {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        clean(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_breaks_off() {
        let pieces =
            || futures::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(bytes::Bytes::from("1234"))));
        let all: Vec<_> = at_most(12, pieces()).collect().await;
        assert!(all.iter().all(Result::is_ok));
        let all: Vec<_> = at_most(11, pieces()).collect().await;
        assert!(all[2].is_err());
    }
}
