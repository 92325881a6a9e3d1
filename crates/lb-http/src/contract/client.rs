//! The one way in which a role calls another: bounded bodies, timeouts, errors that say what was called.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{Method, StatusCode, header};
use lb_vocab::Secret;
use serde::de::DeserializeOwned;
use url::Url;

use super::{ClientError, SseDecoder, SseEvent};
use crate::error::Envelope;

/// An error body is read up to here.
const ERROR_LIMIT: usize = 64 << 10;
/// Idle connections are closed before our servers close them (30 s): a request must not meet a closing connection.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// Where a client's bearer token comes from; asked before every request, because tokens are short-lived.
#[derive(Clone)]
pub struct TokenSource(Arc<dyn Fn() -> Option<Secret> + Send + Sync>);

impl TokenSource {
    /// No token (`AUTH_MODE=none`).
    #[must_use]
    pub fn none() -> Self {
        Self::new(|| None)
    }

    /// Always this token.
    #[must_use]
    pub fn fixed(token: Secret) -> Self {
        Self::new(move || Some(token.clone()))
    }

    /// The first line of a file, read anew for every request: mounted tokens are replaced while we run.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self::new(move || {
            let text = std::fs::read_to_string(&path)
                .inspect_err(
                    |error| tracing::warn!(path = %path.display(), %error, "cannot read the token file"),
                )
                .ok()?;
            text.lines()
                .next()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(|line| Secret::new(line.to_owned()))
        })
    }

    /// Whatever `token` answers.
    pub fn new(token: impl Fn() -> Option<Secret> + Send + Sync + 'static) -> Self {
        Self(Arc::new(token))
    }

    /// The token to send now.
    #[must_use]
    pub fn token(&self) -> Option<Secret> {
        (self.0)()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSource(..)")
    }
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer; streams are not concerned.
    pub request: Duration,
    /// For the next byte, also of a stream: more than two of its heartbeats (15 s each).
    pub idle: Duration,
}

impl Default for Timeouts {
    /// 3 s, 30 s, 45 s.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(45),
        }
    }
}

/// Calls one service.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    http: reqwest::Client,
    base: Url,
    token: TokenSource,
    timeouts: Timeouts,
}

/// A request that is about to be sent, and what it is called in errors.
pub(super) struct Call {
    what: String,
    request: reqwest::RequestBuilder,
}

impl Call {
    pub(super) fn query(self, pairs: &[(&str, &str)]) -> Self {
        Self { request: self.request.query(pairs), ..self }
    }

    pub(super) fn json(self, body: &serde_json::Value) -> Self {
        Self { request: self.request.json(body), ..self }
    }

    pub(super) fn body(self, bytes: Vec<u8>) -> Self {
        Self { request: self.request.body(bytes), ..self }
    }

    pub(super) fn bearer(self, token: &Secret) -> Self {
        Self { request: self.request.bearer_auth(token.reveal()), ..self }
    }

    pub(super) fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }
}

/// A good answer's headers and its whole body.
pub(super) struct Answer {
    pub(super) what: String,
    pub(super) headers: http::HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn malformed(&self, why: impl Into<String>) -> ClientError {
        ClientError::Malformed { what: self.what.clone(), why: why.into() }
    }

    /// Decodes a body that begins with `first` (`{` or `[`). Looking at that byte matters: serde also reads a
    /// struct from an array, so that `[]` could pass for an object without its optional keys.
    fn decode<T: DeserializeOwned>(&self, first: u8) -> Result<T, ClientError> {
        let begins = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        if begins != Some(&first) {
            let start: String = String::from_utf8_lossy(&self.body[..self.body.len().min(60)]).into_owned();
            return Err(self.malformed(format!(
                "it should begin with `{}`, but begins with {start:?}",
                char::from(first)
            )));
        }
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(error.to_string()))
    }

    pub(super) fn object<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        self.decode(b'{')
    }

    pub(super) fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>, ClientError> {
        self.decode(b'[')
    }
}

impl Caller {
    pub(super) fn new(base: Url, token: TokenSource, timeouts: Timeouts) -> Result<Self, ClientError> {
        // Another part of the process may have chosen the provider already; then its choice holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeouts.connect)
            .pool_idle_timeout(POOL_IDLE)
            .read_timeout(timeouts.idle);
        if base.scheme() != "https" {
            // Plain HTTP inside a cluster must work in an image without CA certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|source| ClientError::Unreachable {
            what: format!("prepare calls to {base}"),
            source: Box::new(source),
        })?;
        Ok(Self { http, base, token, timeouts })
    }

    /// A request as ourselves. Its path is made of these segments; each is percent-encoded as one.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Call, ClientError> {
        let Call { what, mut request } = self.anonymous(method, segments)?;
        if let Some(token) = self.token.token() {
            request = request.bearer_auth(token.reveal());
        }
        Ok(Call { what, request })
    }

    /// A request as somebody whose name and password we were given.
    pub(super) fn call_as(
        &self,
        login: &str,
        password: &Secret,
        method: Method,
        segments: &[&str],
    ) -> Result<Call, ClientError> {
        let Call { what, request } = self.anonymous(method, segments)?;
        Ok(Call { what, request: request.basic_auth(login, Some(password.reveal())) })
    }

    fn anonymous(&self, method: Method, segments: &[&str]) -> Result<Call, ClientError> {
        let mut url = self.base.clone();
        let what = format!("{method} {}/{}", self.base.as_str().trim_end_matches('/'), segments.join("/"));
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(ClientError::Malformed {
                what,
                why: "a part of the path is empty, `.` or `..`".into(),
            });
        }
        url.path_segments_mut()
            .map_err(|()| ClientError::Malformed {
                what: what.clone(),
                why: "the base URL cannot have a path".into(),
            })?
            .pop_if_empty()
            .extend(segments);
        Ok(Call { what, request: self.http.request(method, url) })
    }

    /// Sends a request and reads the whole answer, at most `limit` bytes. Only a 2xx is a good answer.
    pub(super) async fn send(&self, call: Call, limit: usize) -> Result<Answer, ClientError> {
        let Call { what, request } = call;
        let response =
            request.timeout(self.timeouts.request).send().await.map_err(|error| unreachable(&what, error))?;
        let status = response.status();
        let headers = response.headers().clone();
        if !status.is_success() {
            let body = read(&what, response, ERROR_LIMIT).await.unwrap_or_default();
            return Err(refused(what, status, &headers, &body));
        }
        let body = read(&what, response, limit).await?;
        Ok(Answer { what, headers, body })
    }

    /// Sends a request whose answer is read piece by piece, without an end in time but that of each piece.
    pub(super) async fn pieces(
        &self,
        call: Call,
    ) -> Result<(String, BoxStream<'static, Result<Bytes, ClientError>>), ClientError> {
        let (what, response) = self.open(call).await?;
        let name = what.clone();
        let pieces =
            response.bytes_stream().map(move |piece| piece.map_err(|error| unreachable(&name, error)));
        Ok((what, pieces.boxed()))
    }

    /// Sends a request and waits for the beginning of a good answer.
    async fn open(&self, call: Call) -> Result<(String, reqwest::Response), ClientError> {
        let Call { what, request } = call;
        let sent = tokio::time::timeout(self.timeouts.request, request.send());
        let response = match sent.await {
            Ok(response) => response.map_err(|error| unreachable(&what, error))?,
            Err(elapsed) => return Err(ClientError::Unreachable { what, source: Box::new(elapsed) }),
        };
        let status = response.status();
        if !status.is_success() {
            let headers = response.headers().clone();
            let body = read(&what, response, ERROR_LIMIT).await.unwrap_or_default();
            return Err(refused(what, status, &headers, &body));
        }
        Ok((what, response))
    }

    /// Opens an event stream. It ends with an error where the connection breaks; reconnecting is the caller's.
    pub(super) async fn events(
        &self,
        call: Call,
        limit: usize,
    ) -> Result<BoxStream<'static, Result<SseEvent, ClientError>>, ClientError> {
        let (what, response) = self.open(call.header("accept", "text/event-stream")).await?;
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !kind.starts_with("text/event-stream") {
            return Err(ClientError::Malformed {
                why: format!("an event stream was asked for, `{kind}` came"),
                what,
            });
        }
        Ok(event_stream(what, response, limit))
    }
}

fn event_stream(
    what: String,
    response: reqwest::Response,
    limit: usize,
) -> BoxStream<'static, Result<SseEvent, ClientError>> {
    let decoder = SseDecoder::new(what.clone(), limit);
    let bytes = response.bytes_stream().boxed();
    let state = Some((bytes, decoder));
    futures::stream::unfold(state, move |state| {
        let what = what.clone();
        async move {
            let (mut bytes, mut decoder) = state?;
            let decoded = match bytes.next().await? {
                Ok(chunk) => decoder.push(&chunk),
                Err(error) => Err(unreachable(&what, error)),
            };
            match decoded {
                Ok(events) => Some((events.into_iter().map(Ok).collect(), Some((bytes, decoder)))),
                Err(error) => Some((vec![Err(error)], None)),
            }
        }
    })
    .flat_map(|events: Vec<Result<SseEvent, ClientError>>| futures::stream::iter(events))
    .boxed()
}

fn unreachable(what: &str, error: reqwest::Error) -> ClientError {
    ClientError::Unreachable { what: what.to_owned(), source: Box::new(error.without_url()) }
}

async fn read(what: &str, response: reqwest::Response, limit: usize) -> Result<Vec<u8>, ClientError> {
    let too_large = || ClientError::TooLarge { what: what.to_owned(), limit };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(too_large());
    }
    let mut body = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = chunk.map_err(|error| unreachable(what, error))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn refused(what: String, status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> ClientError {
    let envelope =
        serde_json::from_slice::<Envelope>(body).ok().filter(|e| e.error.status_code == status.as_u16());
    let (code, message) = match envelope {
        Some(Envelope { error }) if status == StatusCode::NOT_FOUND => {
            return ClientError::NotFound { what, code: error.code, message: error.message };
        }
        Some(Envelope { error }) => (error.code, error.message),
        None => (String::new(), beginning(body)),
    };
    let retry_after = headers
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    ClientError::Refused { what, status: status.as_u16(), code, message, retry_after }
}

fn beginning(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(200)]).chars().filter(|c| !c.is_control()).collect()
}
