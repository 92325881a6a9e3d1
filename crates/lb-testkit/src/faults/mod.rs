//! A proxy at the border of a process that counts what passes, and does something to one call of all.
//!
//! The process under test is one *incarnation* after the other: each gets addresses of its own
//! ([`Proxy::listen`]), and from the moment at which one is killed ([`Gate`]) nothing of it passes any more, whatever it
//! still has under way. So a kill is exact to the call, also where the process is a task.

mod gate;
mod log;
mod stream;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::json;
use tokio::sync::watch;

pub use gate::Gate;
pub use log::{Call, Class, Counting, Log};
use stream::{Flow, relay};

/// The largest body that is read whole.
const BODY: usize = 64 << 20;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The caller is killed; the call is not carried out.
    KillBefore,
    /// The call is carried out; then the caller is killed, and never sees the answer.
    KillAfter,
    /// Not carried out: 409.
    Conflict,
    /// Not carried out: 429 with `Retry-After: 1`.
    Throttle,
    /// Not carried out: 500.
    Error,
    /// Carried out and never answered.
    Timeout,
    /// Carried out, and the connection ends in the middle of the answer.
    Cut,
    /// Carried out; and every stream ends now, a watch with 410.
    Gone,
    /// Carried out; and from now on streams tell nothing until [`Proxy::flow`].
    Late,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::KillBefore,
        Self::KillAfter,
        Self::Conflict,
        Self::Throttle,
        Self::Error,
        Self::Timeout,
        Self::Cut,
        Self::Gone,
        Self::Late,
    ];

    /// Its name, as people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Conflict => "409",
            Self::Throttle => "429",
            Self::Error => "500",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Gone => "gone",
            Self::Late => "late",
        }
    }
}

/// What is spoken at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// With an API server.
    Kubernetes,
    /// With git-api and the configstore.
    Services,
}

/// A proxy. Clones share everything.
#[derive(Clone)]
pub struct Proxy(Arc<Shared>);

struct Shared {
    dialect: Dialect,
    http: reqwest::Client,
    gate: Gate,
    log: Mutex<Log>,
    flow: watch::Sender<Flow>,
    /// Counts what was noted in the log.
    noted: watch::Sender<u64>,
    /// Calls of this class are not carried out.
    refused: Mutex<Option<Class>>,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, id: u64, status: Option<StatusCode>) {
        self.log().end(id, status.map(|status| status.as_u16()));
        self.noted.send_modify(|count| *count += 1);
    }
}

/// One address: of one incarnation, to one service.
#[derive(Clone)]
struct Door {
    shared: Arc<Shared>,
    target: Arc<str>,
    incarnation: u64,
}

impl Proxy {
    /// A proxy without addresses. `authority`: the certificates (PEM) of what is behind it, where that speaks TLS.
    ///
    /// # Errors
    /// Where no client can be made of them.
    pub fn new(dialect: Dialect, gate: &Gate, authority: Option<&[u8]>) -> Result<Self> {
        // An earlier installation of the same provider is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut trusted = Vec::new();
        if let Some(pem) = authority {
            trusted =
                reqwest::Certificate::from_pem_bundle(pem).context("read the authority's certificates")?;
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only(trusted)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("make the proxy's client")?;
        let (flow, _) = watch::channel(Flow::default());
        let (noted, _) = watch::channel(0);
        let log = Mutex::default();
        Ok(Self(Arc::new(Shared {
            dialect,
            http,
            gate: gate.clone(),
            log,
            flow,
            noted,
            refused: Mutex::default(),
        })))
    }

    /// Opens an address that leads to `target`, for the present incarnation alone. Serves in the caller's runtime.
    ///
    /// # Errors
    /// Where there is no port.
    pub async fn listen(&self, target: &str) -> Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("listen for the proxy")?;
        let url = format!("http://{}", listener.local_addr().context("read the proxy's address")?);
        let door =
            Door { shared: self.0.clone(), target: target.into(), incarnation: self.0.gate.incarnation() };
        let gate = self.0.gate.clone();
        let incarnation = door.incarnation;
        let app = Router::new().fallback(forward).with_state(door);
        tokio::spawn(async move {
            let served = async { axum::serve(listener, app).await };
            tokio::select! {
                _ = served => {}
                () = gate.passed(incarnation) => {}
            }
        });
        Ok(url)
    }

    /// Forgets the calls so far, and does `fault` to the `index`th from here that `counting` counts.
    pub fn arm(&self, counting: Counting, fault: Option<(usize, Fault)>) {
        self.log().arm(counting, fault);
    }

    /// What passed.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log()
    }

    /// Waits until what passed is like this; looks again whenever a call has ended.
    pub async fn until(&self, condition: impl Fn(&Log) -> bool) {
        let mut noted = self.0.noted.subscribe();
        while !condition(&self.log()) {
            // The sender lives as long as `self`.
            let _ = noted.changed().await;
        }
    }

    /// From now on answers 500 to every call of this class, or of none.
    pub fn refuse(&self, class: Option<Class>) {
        *self.0.refused.lock().unwrap_or_else(PoisonError::into_inner) = class;
    }

    /// Lets streams tell again what they kept back.
    pub fn flow(&self) {
        self.0.flow.send_modify(|flow| flow.held = false);
    }

    /// Whether streams are kept back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.flow.borrow().held
    }
}

async fn forward(State(door): State<Door>, request: Request) -> Response {
    let shared = door.shared.clone();
    if !shared.gate.is_open(door.incarnation) {
        return std::future::pending().await;
    }
    let (parts, body) = request.into_parts();
    let class = Class::of(shared.dialect, &parts.method, &parts.uri, &parts.headers);
    let Ok(body) = axum::body::to_bytes(body, BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let line = format!("{} {}", parts.method, parts.uri);
    let (under_way, fault) = UnderWay::begin(&shared, class, line);
    let refused = *shared.refused.lock().unwrap_or_else(PoisonError::into_inner) == Some(class);
    let refusal = match fault {
        None if refused => Some(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Fault::KillBefore) => {
            shared.gate.kill(door.incarnation);
            return std::future::pending().await;
        }
        Some(Fault::Conflict) => Some(StatusCode::CONFLICT),
        Some(Fault::Throttle) => Some(StatusCode::TOO_MANY_REQUESTS),
        Some(Fault::Error) => Some(StatusCode::INTERNAL_SERVER_ERROR),
        Some(Fault::KillAfter | Fault::Timeout | Fault::Cut | Fault::Gone | Fault::Late) | None => None,
    };
    if let Some(status) = refusal {
        under_way.ended(status);
        return refuse(shared.dialect, &parts.method, status);
    }
    let sent = send(&door, parts.method, &parts.uri, parts.headers, body).await;
    // Of an incarnation that was killed meanwhile nothing is heard any more.
    if !shared.gate.is_open(door.incarnation) {
        return std::future::pending().await;
    }
    match sent {
        Ok(answer) => finish(&door, answer, class, fault, under_way).await,
        Err(_) => {
            under_way.ended(StatusCode::BAD_GATEWAY);
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

async fn send(
    door: &Door,
    method: Method,
    uri: &Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> reqwest::Result<reqwest::Response> {
    for own in [header::HOST, header::ACCEPT_ENCODING, header::CONTENT_LENGTH, header::CONNECTION] {
        headers.remove(own);
    }
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let request = door.shared.http.request(method, format!("{}{path}", door.target)).headers(headers);
    // What was sent is carried out, whether or not anybody still waits for it.
    let sent = tokio::spawn(request.body(body).send());
    match sent.await {
        Ok(answer) => answer,
        Err(_) => std::future::pending().await,
    }
}

async fn finish(
    door: &Door,
    answer: reqwest::Response,
    class: Class,
    fault: Option<Fault>,
    under_way: UnderWay,
) -> Response {
    let shared = &door.shared;
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    if class == Class::Stream && status.is_success() && fault.is_none() {
        under_way.ended(status);
        let body = relay(answer.bytes_stream(), shared.flow.subscribe(), shared.dialect);
        return (status, headers, Body::from_stream(body)).into_response();
    }
    let body = match fault {
        // A stream has no end that could be waited for.
        Some(_) if class == Class::Stream => Bytes::new(),
        _ => answer.bytes().await.unwrap_or_default(),
    };
    match fault {
        Some(Fault::KillAfter) => {
            shared.gate.kill(door.incarnation);
            return std::future::pending().await;
        }
        Some(Fault::Timeout) => {
            drop(under_way);
            return std::future::pending().await;
        }
        Some(Fault::Cut) => {
            under_way.ended(status);
            let half = body.slice(..body.len() / 2);
            let cut = futures::stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
            return (status, headers, Body::from_stream(cut)).into_response();
        }
        Some(Fault::Gone) => shared.flow.send_modify(|flow| flow.ended += 1),
        Some(Fault::Late) => shared.flow.send_modify(|flow| flow.held = true),
        Some(Fault::KillBefore | Fault::Conflict | Fault::Throttle | Fault::Error) | None => {}
    }
    under_way.ended(status);
    headers.remove(header::CONTENT_LENGTH);
    (status, headers, body).into_response()
}

/// An answer in words that the caller understands.
fn refuse(dialect: Dialect, method: &Method, status: StatusCode) -> Response {
    let reason = match status {
        StatusCode::CONFLICT if *method == Method::POST => "AlreadyExists",
        StatusCode::CONFLICT => "Conflict",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        _ => "InternalError",
    };
    let body = match dialect {
        Dialect::Kubernetes => json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "a fault of the tests", "reason": reason, "code": status.as_u16(),
        }),
        Dialect::Services => json!({"error": "a fault of the tests"}),
    };
    let kind = [(header::CONTENT_TYPE, "application/json")];
    let mut answer = (status, kind, body.to_string()).into_response();
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    answer
}

/// A call that nobody has answered yet; dropped where the caller gave up.
struct UnderWay {
    shared: Arc<Shared>,
    id: u64,
}

impl UnderWay {
    fn begin(shared: &Arc<Shared>, class: Class, line: String) -> (Self, Option<Fault>) {
        let (id, fault) = shared.log().begin(shared.gate.incarnation(), class, line);
        (Self { shared: shared.clone(), id }, fault)
    }

    fn ended(self, status: StatusCode) {
        self.shared.end(self.id, Some(status));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.shared.end(self.id, None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A service that counts what it does, behind a proxy.
    async fn behind(gate: &Gate) -> (Proxy, String, Arc<AtomicUsize>) {
        let done = Arc::new(AtomicUsize::new(0));
        let counts = done.clone();
        let app = Router::new().fallback(move || {
            counts.fetch_add(1, Ordering::SeqCst);
            std::future::ready("a whole answer")
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let proxy = Proxy::new(Dialect::Kubernetes, gate, None).unwrap();
        (proxy, target, done)
    }

    async fn call(url: &str) -> Result<u16, String> {
        let answer =
            reqwest::get(format!("{url}/api/v1/secrets")).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        answer.text().await.map(|_| status).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_call_of_the_number_is_hit_and_no_other() {
        let (proxy, target, done) = behind(&Gate::default()).await;
        let url = proxy.listen(&target).await.unwrap();
        for (fault, answer, carried_out) in [
            (Fault::Conflict, Some(409), 2),
            (Fault::Throttle, Some(429), 2),
            (Fault::Error, Some(500), 2),
            (Fault::Cut, None, 3),
            (Fault::Gone, Some(200), 3),
        ] {
            proxy.arm(Counting::Work, Some((1, fault)));
            let before = done.load(Ordering::SeqCst);
            let answers = [call(&url).await.ok(), call(&url).await.ok(), call(&url).await.ok()];
            assert_eq!(answers, [Some(200), answer, Some(200)], "{fault:?}");
            assert_eq!(done.load(Ordering::SeqCst) - before, carried_out, "{fault:?}");
            assert_eq!(proxy.log().fired.as_ref().map(|(_, hit)| *hit), Some(fault));
        }
    }

    #[tokio::test]
    async fn of_who_is_killed_nothing_passes_and_the_next_one_does() {
        let gate = Gate::default();
        let (proxy, target, done) = behind(&gate).await;
        for (fault, carried_out) in [(Fault::KillBefore, 0), (Fault::KillAfter, 1)] {
            let before = done.load(Ordering::SeqCst);
            let (url, incarnation) = (proxy.listen(&target).await.unwrap(), gate.incarnation());
            proxy.arm(Counting::Work, Some((0, fault)));
            let other = url.clone();
            tokio::select! {
                answer = call(&url) => panic!("{fault:?} was answered: {answer:?}"),
                () = gate.passed(incarnation) => {}
            }
            assert!(!gate.is_open(incarnation));
            let url = proxy.listen(&target).await.unwrap();
            tokio::select! {
                answer = call(&other) => assert!(answer.is_err(), "{fault:?}: {answer:?}"),
                answer = call(&url) => assert_eq!(answer, Ok(200)),
            }
            assert_eq!(call(&url).await, Ok(200));
            let passed = done.load(Ordering::SeqCst) - before;
            assert!((carried_out + 1..=carried_out + 2).contains(&passed), "{fault:?}: {passed}");
        }
    }
}
