//! Every request goes through here: it is counted, withheld where we do not lead, and a server that asks to wait is
//! understood.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use tower::{BoxError, Layer, Service};

use crate::error::{Wait, Withheld};
use crate::lease::Leadership;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Reads one object, or a collection.
    Get,
    /// Watches a collection.
    Watch,
    /// Creates an object.
    Create,
    /// Replaces an object.
    Update,
    /// Changes parts of an object, or applies it.
    Patch,
    /// Removes an object.
    Delete,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 6] =
        [Self::Get, Self::Watch, Self::Create, Self::Update, Self::Patch, Self::Delete];

    /// The verb in lower case: a metric's label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Self::Get | Self::Watch => false,
            Self::Create | Self::Update | Self::Patch | Self::Delete => true,
        }
    }

    fn of<B>(request: &Request<B>) -> Self {
        let watch =
            || request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
        match *request.method() {
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ if watch() => Self::Watch,
            _ => Self::Get,
        }
    }
}

/// Counts of requests by verb, since the connection was made. Those about leases are not among them: they are sent
/// whether anything happens or not.
#[derive(Clone, Default)]
pub struct Requests(Arc<Shared>);

#[derive(Default)]
struct Shared {
    counts: [AtomicU64; Verb::ALL.len()],
    leadership: OnceLock<Leadership>,
}

impl Requests {
    /// How many requests of one kind were sent.
    #[must_use]
    pub fn count(&self, verb: Verb) -> u64 {
        self.0.counts[verb as usize].load(Ordering::Relaxed)
    }

    /// How many requests were sent that change something.
    #[must_use]
    pub fn writes(&self) -> u64 {
        Verb::ALL.into_iter().filter(|verb| verb.writes()).map(|verb| self.count(verb)).sum()
    }

    /// How many requests were sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        Verb::ALL.into_iter().map(|verb| self.count(verb)).sum()
    }

    /// Every count.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Verb, u64> {
        Verb::ALL.into_iter().map(|verb| (verb, self.count(verb))).collect()
    }

    /// Writes go out only while this leads. The first call counts.
    pub(crate) fn guard(&self, leadership: Leadership) {
        if self.0.leadership.set(leadership).is_err() {
            tracing::warn!("a second leadership was given to one connection and is ignored");
        }
    }

    fn admits<B>(&self, verb: Verb, request: &Request<B>) -> bool {
        // The lease itself is written by who does not lead yet.
        !verb.writes() || is_lease(request) || self.0.leadership.get().is_none_or(Leadership::is_leader)
    }
}

fn is_lease<B>(request: &Request<B>) -> bool {
    request.uri().path().starts_with("/apis/coordination.k8s.io/")
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts()).finish()
    }
}

impl<S> Layer<S> for Requests {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.clone() }
    }
}

/// A service whose requests are counted.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    R: 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<R>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let verb = Verb::of(&request);
        if !self.requests.admits(verb, &request) {
            return Box::pin(async { Err(Withheld.into()) });
        }
        if !is_lease(&request) {
            self.requests.0.counts[verb as usize].fetch_add(1, Ordering::Relaxed);
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await.map_err(Into::into)?;
            match wait(&response) {
                Some(after) => Err(Wait(after).into()),
                None => Ok(response),
            }
        })
    }
}

/// How long the server asks to wait. Priority and fairness says so in a header alone.
fn wait<R>(response: &Response<R>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), Duration::from_secs(300)))
}

#[cfg(test)]
mod tests {
    use tower::{ServiceExt, service_fn};

    use super::*;

    async fn send(
        requests: &Requests,
        method: Method,
        uri: &str,
        answer: Response<()>,
    ) -> Result<u16, BoxError> {
        let answer = std::sync::Mutex::new(Some(answer));
        let inner = service_fn(move |_: Request<()>| {
            let answer = answer.lock().unwrap().take().unwrap();
            async move { Ok::<_, BoxError>(answer) }
        });
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        requests.layer(inner).oneshot(request).await.map(|response| response.status().as_u16())
    }

    #[tokio::test]
    async fn requests_are_counted_by_verb() {
        let requests = Requests::default();
        for (method, uri) in [
            (Method::GET, "/api/v1/namespaces/a/secrets/watch=true"),
            (Method::GET, "/api/v1/secrets?limit=1&watch=true"),
            (Method::GET, "/api/v1/secrets?labelSelector=watch%3Dtrue"),
            (Method::PATCH, "/api/v1/namespaces/a/secrets/s"),
            (Method::DELETE, "/api/v1/namespaces/a/secrets/s"),
        ] {
            send(&requests, method, uri, Response::new(())).await.unwrap();
        }
        assert_eq!(format!("{requests:?}"), "{Get: 2, Watch: 1, Create: 0, Update: 0, Patch: 1, Delete: 1}");
        assert_eq!((requests.writes(), requests.total()), (2, 5));
    }

    #[tokio::test]
    async fn a_server_that_asks_to_wait_is_understood() {
        let requests = Requests::default();
        for (code, header, wait) in [
            (429, Some("7"), Some(7)),
            (429, Some("0"), Some(1)),
            (429, Some("999999"), Some(300)),
            (503, Some("2"), Some(2)),
            (429, Some("soon"), None),
            (429, None, None),
            (200, Some("7"), None),
        ] {
            let mut answer = Response::builder().status(code);
            if let Some(header) = header {
                answer = answer.header(header::RETRY_AFTER, header);
            }
            let result = send(&requests, Method::GET, "/", answer.body(()).unwrap()).await;
            match wait {
                Some(seconds) => {
                    let error = result.unwrap_err().downcast::<Wait>().unwrap();
                    assert_eq!(error.0, Duration::from_secs(seconds), "{code} {header:?}");
                }
                None => assert_eq!(result.unwrap(), code),
            }
        }
    }
}
