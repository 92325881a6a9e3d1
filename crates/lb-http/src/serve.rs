//! Serving: listening with limits, CORS, the routes that every service has, graceful shutdown.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::error::{ApiError, code};
use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::route::{RouteInfo, Seam};

/// Connections of one service at once; more wait in the system's queue.
const MAX_CONNECTIONS: usize = 8192;
/// From one piece of a request to the next.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What is still being answered at shutdown gets this long.
const DRAIN: Duration = Duration::from_secs(20);

/// Origins from which browsers may call, with credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// These; none by default.
    Listed(Vec<HeaderValue>),
    /// Any.
    Any,
}

impl Origins {
    /// Reads a list of origins (`https://ui.example.com`), or `*`.
    ///
    /// # Errors
    /// A sentence about the first that is none.
    pub fn parse(list: &[String]) -> Result<Self, String> {
        if list.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        let origin = |text: &String| {
            let url = url::Url::parse(text).map_err(|error| format!("`{text}` is no origin: {error}"))?;
            if !matches!(url.scheme(), "http" | "https") || url.origin().ascii_serialization() != *text {
                return Err(format!(
                    "`{text}` is no origin: scheme, host and port alone, as https://ui.example.com"
                ));
            }
            HeaderValue::from_str(text).map_err(|error| format!("`{text}` is no origin: {error}"))
        };
        list.iter().map(origin).collect::<Result<_, _>>().map(Self::Listed)
    }
}

/// Names what a service still waits for before it is ready; empty: it is.
pub type Ready = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// What every service has around its own routes.
#[derive(Clone)]
pub struct Common {
    /// Authorisation.
    pub seam: Seam,
    /// Its metrics.
    pub metrics: Metrics,
    /// What it waits for.
    pub ready: Ready,
    /// Who may call from a browser.
    pub origins: Origins,
}

mod own {
    //! The routes that every service has.

    use super::{ApiError, CONTENT_TYPE, Common, IntoResponse, Response, State, StatusCode, header};

    crate::routes! { Common;
        GET "/live" Public live, "`{live:true}`: the process answers";
        GET "/ready" Public ready, "`{ready:true}`, or 503 with what it waits for";
        GET "/metrics" System metrics, "OpenMetrics text";
    }

    pub(super) fn with(common: &Common) -> axum::Router {
        router(&common.seam).with_state(common.clone())
    }

    async fn live() -> Response {
        axum::Json(serde_json::json!({"live": true})).into_response()
    }

    async fn ready(State(common): State<Common>) -> Response {
        let waits = (common.ready)();
        if waits.is_empty() {
            return axum::Json(serde_json::json!({"ready": true})).into_response();
        }
        let message = format!("waiting for {}", waits.join(", "));
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", message).into_response()
    }

    async fn metrics(State(common): State<Common>) -> Response {
        ([(header::CONTENT_TYPE, CONTENT_TYPE)], common.metrics.encode()).into_response()
    }
}

mod ping {
    //! What tells that somebody is there; a service may have one of its own.

    use super::Common;

    crate::routes! { Common;
        GET "/ping" Public ping, "`pong` (text)";
    }

    pub(super) fn with(common: &Common) -> axum::Router {
        router(&common.seam).with_state(common.clone())
    }

    async fn ping() -> &'static str {
        "pong"
    }
}

pub use own::ROUTES as ROUTES_BUT_PING;
pub use ping::ROUTES as PING_ROUTES;

/// The routes that every service has.
pub const ROUTES: &[RouteInfo] = &[ping::ROUTES[0], own::ROUTES[0], own::ROUTES[1], own::ROUTES[2]];
const _: () = assert!(ping::ROUTES.len() == 1 && own::ROUTES.len() == 3, "every route is in the table");

impl Common {
    /// A service's own routes with everything around them.
    pub fn wrap(&self, routes: Router) -> Router {
        self.wrap_but_ping(routes.merge(ping::with(self)))
    }

    /// The same for a service that has a `/ping` of its own among its routes.
    pub fn wrap_but_ping(&self, routes: Router) -> Router {
        Router::new()
            .merge(routes)
            .merge(own::with(self))
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .layer(RequestBodyTimeoutLayer::new(READ_TIMEOUT))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn_with_state(self.metrics.clone(), note))
            .layer(self.cors())
    }

    fn cors(&self) -> CorsLayer {
        let origins = match &self.origins {
            Origins::Any => AllowOrigin::mirror_request(),
            Origins::Listed(list) => AllowOrigin::list(list.iter().cloned()),
        };
        CorsLayer::new()
            .allow_origin(origins)
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::IF_MATCH,
                header::HeaderName::from_static("last-event-id"),
            ])
            .expose_headers([header::ETAG])
            .max_age(Duration::from_mins(10))
    }
}

async fn no_route() -> ApiError {
    ApiError::not_found(code::ROUTE_NOT_FOUND, "no route has this path")
}

async fn no_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this path has other methods")
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    // The panic hook has logged it; its text may hold anything, so none of it is answered.
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "a defect of this service: see its log")
        .into_response()
}

/// Counts and logs each request: method, route, status and time, and nothing of its headers, query or body.
async fn note(
    State(metrics): State<Metrics>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let begin = Instant::now();
    let method = known_method(request.method());
    let response = next.run(request).await;
    let route = path.as_ref().map_or("unknown", MatchedPath::as_str);
    let (status, took) = (response.status(), begin.elapsed());
    metrics.request(method, route, status.as_u16(), took);
    if status.is_server_error() {
        tracing::warn!(method, route, status = status.as_u16(), ?took, "answered");
    } else {
        tracing::debug!(method, route, status = status.as_u16(), ?took, "answered");
    }
    response
}

/// A method's name, of which there are as many as callers like: those that nobody serves share one.
fn known_method(method: &Method) -> &'static str {
    ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .find(|known| method == known)
        .unwrap_or("other")
}

/// Serves until shutdown is asked for; then nothing new is accepted, event streams end, and what is being answered
/// gets 20 s.
///
/// # Errors
/// Where the listener fails for good.
pub async fn run(listener: TcpListener, app: Router, shutdown: CancellationToken) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(READ_TIMEOUT);
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("answers that took longer than {DRAIN:?} were cut off");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, place))
        }
        Err(error) => {
            // Out of file descriptors, mostly: the connections that are open will end.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Origins;

    #[test]
    fn origins_are_scheme_host_and_port() {
        let parse = |text: &str| Origins::parse(&[text.to_owned()]);
        assert_eq!(parse("*"), Ok(Origins::Any));
        assert_eq!(Origins::parse(&[]), Ok(Origins::Listed(vec![])));
        for good in ["https://ui.example.com", "http://localhost:3000"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in [
            "ui.example.com",
            "https://ui.example.com/",
            "https://a/b",
            "file:///x",
            "null",
            "https://*.example.com/",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
