//! Gitea's REST interface as bytes: one way to ask, with its time limit, repeats, size limit and circuit breaker, and
//! one reading of what an answer's status means.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode, header};
use lb_vocab::{Clock, Secret, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use super::breaker::Breaker;
use super::{Settings, Token};
use crate::error::HostError;
use crate::process::printable;

/// An answer of the REST interface at most, bytes: a page of 50 repositories has about 150 KB.
const MAX_ANSWER: usize = 16 << 20;
/// Idle connections are kept this long.
const KEPT: Duration = Duration::from_secs(60);
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(20);
/// Repeats of a request that may be repeated.
const REPEATS: usize = 2;
/// Before the first repeat; the second waits twice as long, both jittered.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest `Retry-After` that is waited for instead of being passed on.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks Gitea. The only holder of its admin token.
pub(super) struct Api {
    http: reqwest::Client,
    base: Url,
    token: Token,
    timeout: Duration,
    turns: Arc<Semaphore>,
    breaker: Breaker,
    clock: Clock,
    /// How far Gitea's clock is ahead of ours, milliseconds.
    ahead: AtomicI64,
}

/// A question.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    method: Method,
    below: &'static str,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    who: Who,
}

/// Who asks.
#[derive(Clone, Debug)]
enum Who {
    /// The admin.
    Admin,
    /// The admin, with its token in place of a password. Gitea does not look at the name beside a token.
    AdminByPassword,
    /// The admin in somebody's name (`Sudo`).
    AdminFor(String),
    /// Somebody with a password or token of their own.
    User(String, Secret),
    /// Whoever has this access token.
    Bearer(Secret),
    /// Nobody: what is sent says enough.
    Nobody,
}

/// What Gitea did not do, and why.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such thing (404, in Gitea's own words).
    Absent,
    /// It exists already (409).
    Exists,
    /// Gitea has a rule against it (400, 413, 422).
    Refused(String),
    /// Whoever asks may not (401, 403).
    Denied(String),
    /// It has another name now (3xx).
    Moved(String),
    /// There is no answer.
    Host(HostError),
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    doing: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    /// A question about what this path names; each part is percent-encoded as one.
    pub(super) fn new(method: Method, path: &[&str]) -> Self {
        let path = path.iter().map(|part| (*part).to_owned()).collect();
        Self { method, below: "api/v1", path, query: Vec::new(), body: None, who: Who::Admin }
    }

    /// `GET`.
    pub(super) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// With this in its query.
    pub(super) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With this body.
    pub(super) fn json(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// In the name of this user, which the admin may.
    pub(super) fn for_user(self, login: &str) -> Self {
        Self { who: Who::AdminFor(login.to_owned()), ..self }
    }

    /// As this user, with its own password or token.
    pub(super) fn signed_in(self, login: &str, password: &Secret) -> Self {
        Self { who: Who::User(login.to_owned(), password.clone()), ..self }
    }

    /// With an access token.
    pub(super) fn with_bearer(self, token: Secret) -> Self {
        Self { who: Who::Bearer(token), ..self }
    }

    /// Of nobody, and not below the REST interface.
    pub(super) fn outside_the_api(self) -> Self {
        Self { below: "", who: Who::Nobody, ..self }
    }

    /// As the admin, in the form that some questions need.
    pub(super) fn with_password(self) -> Self {
        Self { who: Who::AdminByPassword, ..self }
    }

    fn doing(&self) -> String {
        format!("{} {} of Gitea", self.method, self.path.join("/"))
    }
}

impl Failure {
    /// The error of a host where none of the other answers makes sense.
    pub(super) fn host(self, doing: &str) -> HostError {
        match self {
            Self::Host(error) => error,
            Self::Refused(why) => HostError::refused(why),
            Self::Denied(why) => HostError::Denied { doing: doing.to_owned(), why },
            Self::Moved(to) => HostError::Moved { what: doing.to_owned(), to },
            Self::Absent => HostError::malformed(doing, "404 where something must be"),
            Self::Exists => HostError::malformed(doing, "409 where nothing can be in the way"),
        }
    }
}

impl Answer {
    /// The body, which begins with `first`: serde also reads a struct from an array.
    fn decode<T: DeserializeOwned>(&self, first: u8) -> Result<T, HostError> {
        let begins = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        if begins != Some(&first) {
            let start = printable(&String::from_utf8_lossy(&self.body[..self.body.len().min(60)]));
            return Err(HostError::malformed(&self.doing, format!("it begins with `{start}`")));
        }
        serde_json::from_slice(&self.body).map_err(|error| HostError::malformed(&self.doing, error))
    }

    /// An object.
    pub(super) fn object<T: DeserializeOwned>(&self) -> Result<T, HostError> {
        self.decode(b'{')
    }

    /// An array.
    pub(super) fn list<T: DeserializeOwned>(&self) -> Result<Vec<T>, HostError> {
        self.decode(b'[')
    }

    /// How many there are on all pages.
    pub(super) fn total(&self) -> Result<usize, HostError> {
        let total = self.headers.get("x-total-count").and_then(|value| value.to_str().ok()?.parse().ok());
        total.ok_or_else(|| HostError::malformed(&self.doing, "it has no X-Total-Count"))
    }

    /// Gitea's clock when it answered; in whole seconds.
    pub(super) fn time(&self) -> Result<Timestamp, HostError> {
        let date = self.headers.get(header::DATE).and_then(|value| value.to_str().ok());
        let time = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|time| time.timestamp());
        let seconds = time.and_then(|time| u64::try_from(time.as_second()).ok());
        seconds
            .map(|seconds| Timestamp(seconds * 1000))
            .ok_or_else(|| HostError::malformed(&self.doing, "it has no Date"))
    }
}

impl Api {
    /// Prepares to ask.
    pub(super) fn new(settings: &Settings, clock: Clock) -> Result<Self, HostError> {
        // Another part of the process may have chosen the provider already; then its choice holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            // A redirect leads to what a renamed user or a transferred repository is called now: somebody else's.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeout.min(Duration::from_secs(3)))
            .read_timeout(settings.timeout)
            .pool_idle_timeout(KEPT);
        if settings.url.scheme() != "https" {
            // Plain HTTP inside a cluster must work in an image without CA certificates.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| HostError::Unreachable {
            doing: "prepare calls to Gitea".to_owned(),
            why: told(&error),
        })?;
        Ok(Self {
            http,
            base: settings.url.clone(),
            token: settings.token.clone(),
            timeout: settings.timeout,
            turns: Arc::new(Semaphore::new(settings.requests)),
            breaker: Breaker::new(clock.clone()),
            clock,
            ahead: AtomicI64::new(0),
        })
    }

    /// Asks, and asks again where that can help and cannot harm.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let backoff =
            ExponentialBuilder::default().with_min_delay(PAUSE).with_max_times(REPEATS).with_jitter();
        let idempotent = ask.method != Method::POST;
        (|| self.once(&ask))
            .retry(backoff)
            .sleep(tokio::time::sleep)
            .when(|failure| match failure {
                // Once the breaker is open a repeat would only hide why.
                Failure::Host(HostError::Unreachable { .. } | HostError::Malformed { .. }) => {
                    idempotent && self.breaker.is_closed()
                }
                Failure::Host(HostError::RateLimited { retry_after }) => *retry_after <= PATIENCE,
                Failure::Absent
                | Failure::Exists
                | Failure::Refused(_)
                | Failure::Denied(_)
                | Failure::Moved(_)
                | Failure::Host(_) => false,
            })
            .await
    }

    async fn once(&self, ask: &Ask) -> Result<Answer, Failure> {
        let doing = ask.doing();
        let _turn = self.turn().await.map_err(Failure::Host)?;
        self.admit(&doing).map_err(Failure::Host)?;
        let mut request = self.http.request(ask.method.clone(), self.url(ask.below, &ask.path)?);
        request = request.query(&ask.query).timeout(self.timeout).header(header::ACCEPT, "application/json");
        request = match &ask.who {
            Who::Admin => self.authorised(request).map_err(Failure::Host)?,
            Who::AdminByPassword => {
                request.basic_auth("admin", Some(self.token.read().map_err(Failure::Host)?.reveal()))
            }
            Who::AdminFor(login) => self.authorised(request).map_err(Failure::Host)?.header("sudo", login),
            Who::User(login, password) => request.basic_auth(login, Some(password.reveal())),
            Who::Bearer(token) => request.bearer_auth(token.reveal()),
            Who::Nobody => request,
        };
        if let Some(body) = &ask.body {
            request = request.json(body);
        }
        let answered = self.read(&doing, request).await;
        match &answered {
            Err(Failure::Host(HostError::Unreachable { .. } | HostError::Malformed { .. })) => {
                self.breaker.failed();
            }
            _ => self.breaker.answered(),
        }
        answered
    }

    async fn read(&self, doing: &str, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        let response = request.send().await.map_err(|error| Failure::Host(unreachable(doing, &error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = whole(doing, response).await.map_err(Failure::Host)?;
        if status.is_success() {
            let answer = Answer { doing: doing.to_owned(), headers, body };
            if let Ok(time) = answer.time() {
                self.ahead.store(time.0.cast_signed() - self.clock.now().0.cast_signed(), Ordering::Relaxed);
            }
            return Ok(answer);
        }
        Err(meaning(doing, status, &headers, &body))
    }

    /// Gitea's clock now, as far as its last answer tells.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now().0.saturating_add_signed(self.ahead.load(Ordering::Relaxed)))
    }

    /// Sends a request of smart HTTP; the answer's body is the caller's to stream. What is not a 200 is a failure.
    pub(super) async fn smart(
        &self,
        doing: &str,
        path: &[String],
        request: impl FnOnce(&reqwest::Client, Url) -> reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Failure> {
        let _turn = self.turn().await.map_err(Failure::Host)?;
        self.admit(doing).map_err(Failure::Host)?;
        let request = self.authorised(request(&self.http, self.url("", path)?)).map_err(Failure::Host)?;
        let sent = tokio::time::timeout(self.timeout * 3, request.send()).await;
        let unreachable = |why: String| {
            self.breaker.failed();
            Failure::Host(HostError::Unreachable { doing: doing.to_owned(), why })
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(unreachable(told(&error))),
            Err(_) => {
                return Err(unreachable(format!("nothing came for {} s", (self.timeout * 3).as_secs())));
            }
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if status == StatusCode::OK {
            self.breaker.answered();
            return Ok(response);
        }
        let body = whole(doing, response).await.unwrap_or_default();
        if status.is_server_error() {
            self.breaker.failed();
        }
        // git's interface answers texts, not JSON.
        Err(match status {
            StatusCode::NOT_FOUND => Failure::Absent,
            _ => meaning(doing, status, &headers, &body),
        })
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> Result<reqwest::RequestBuilder, HostError> {
        Ok(request.header(header::AUTHORIZATION, format!("token {}", self.token.read()?.reveal())))
    }

    fn url(&self, below: &str, path: &[String]) -> Result<Url, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(below.split('/').filter(|part| !part.is_empty())).extend(path);
        }
        // `..` and `.` would be resolved by the URL itself, and an empty part names something else.
        match path.iter().find(|part| matches!(part.as_str(), "" | "." | "..")) {
            Some(part) => Err(Failure::Refused(format!("`{part}` names nothing"))),
            None => Ok(url),
        }
    }

    fn admit(&self, doing: &str) -> Result<(), HostError> {
        self.breaker.admit().map_err(|wait| HostError::Unreachable {
            doing: doing.to_owned(),
            why: format!("it failed several times in a row; it is asked again in {} ms", wait.as_millis()),
        })
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, HostError> {
        match tokio::time::timeout(TURN, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(HostError::RateLimited { retry_after: Duration::from_secs(5) }),
        }
    }
}

/// What a status that is no success means.
fn meaning(doing: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // Its REST interface says `message` and `url`, its OAuth 2 provider `error` and `error_description`.
    let own = |value: &Value| value.get("url").is_some() || value.get("error_description").is_some();
    let said = serde_json::from_slice::<Value>(body).ok().filter(own);
    let message = said.as_ref().and_then(|value| {
        value["message"].as_str().or_else(|| value["error_description"].as_str()).map(printable)
    });
    let words = message.unwrap_or_else(|| {
        format!("{status}: {}", printable(&String::from_utf8_lossy(&body[..body.len().min(200)])))
    });
    match status {
        // Only in Gitea's own words: a proxy's 404 proves nothing.
        StatusCode::NOT_FOUND if said.is_some() => Failure::Absent,
        StatusCode::CONFLICT if said.is_some() => Failure::Exists,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY
            if said.is_some() =>
        {
            Failure::Refused(words)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Denied(words),
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = text(header::RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).unwrap_or(1);
            Failure::Host(HostError::RateLimited { retry_after: Duration::from_secs(seconds) })
        }
        _ if status.is_redirection() => {
            Failure::Moved(printable(text(header::LOCATION.as_str()).unwrap_or("somewhere")))
        }
        _ if status.is_server_error() => {
            Failure::Host(HostError::Unreachable { doing: doing.to_owned(), why: words })
        }
        _ => Failure::Host(HostError::malformed(doing, words)),
    }
}

/// A whole body, at most [`MAX_ANSWER`].
async fn whole(doing: &str, response: reqwest::Response) -> Result<Bytes, HostError> {
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| unreachable(doing, &error))?;
        if body.len() + piece.len() > MAX_ANSWER {
            return Err(HostError::malformed(doing, format!("it is larger than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

pub(super) fn unreachable(doing: &str, error: &reqwest::Error) -> HostError {
    HostError::Unreachable { doing: doing.to_owned(), why: told(error) }
}

/// An error of the HTTP client with its causes, without the URL.
fn told(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let last = causes.last().map(ToString::to_string);
    match last {
        Some(last) => printable(&last),
        None if error.is_timeout() => "it took too long".to_owned(),
        None => "the connection failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, headers: &[(&str, &str)], body: &str) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        match meaning("ask", StatusCode::from_u16(status).unwrap(), &map, body.as_bytes()) {
            Failure::Host(error) => error.name().to_owned(),
            failure @ (Failure::Absent
            | Failure::Exists
            | Failure::Refused(_)
            | Failure::Denied(_)
            | Failure::Moved(_)) => format!("{failure:?}"),
        }
    }

    #[test]
    fn a_404_counts_in_giteas_own_words_alone() {
        let own = r#"{"message":"not found","url":"http://gitea/api/swagger"}"#;
        assert_eq!(of(404, &[], own), "Absent");
        for others in ["", "<html>404</html>", "{}", r#"{"message":"not found"}"#, "null", "[]"] {
            assert_eq!(of(404, &[], others), "Malformed", "{others}");
        }
        assert_eq!(of(409, &[], own), "Exists");
        assert_eq!(of(409, &[], "<html>"), "Malformed");
        assert_eq!(of(422, &[], own), "Refused(\"not found\")");
    }

    #[test]
    fn what_is_no_answer_is_an_error_of_the_host() {
        for status in [500, 502, 503, 504] {
            assert_eq!(of(status, &[], "<html>"), "Unreachable");
        }
        assert_eq!(of(429, &[("retry-after", "7")], ""), "RateLimited");
        assert_eq!(of(418, &[], ""), "Malformed");
        assert_eq!(
            of(307, &[("location", "/api/v1/repositories/7")], ""),
            "Moved(\"/api/v1/repositories/7\")"
        );
        for status in [401, 403] {
            assert!(of(status, &[], "{}").starts_with("Denied"), "{status}");
        }
    }
}
