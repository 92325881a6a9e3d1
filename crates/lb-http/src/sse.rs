//! Serving event streams: heartbeats, an end at shutdown, a count of what is open.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use http::{HeaderValue, header};
use prometheus_client::metrics::gauge::Gauge;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Between two heartbeats: a comment that keeps proxies and clients from giving up.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An event stream that ends with its source, when the client goes, or at shutdown. It is pulled by the client's
/// reading: a client that does not read costs no memory beyond what its source keeps.
pub fn respond(
    events: impl Stream<Item = Event> + Send + 'static,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> Response {
    metrics.streams.inc();
    let open = Open(metrics.streams.clone());
    // A comment first: clients see the headers at once, whatever happens later.
    let hello = futures::stream::once(std::future::ready(Event::default().comment("connected")));
    let events = hello.chain(events).take_until(shutdown.clone().cancelled_owned()).map(move |event| {
        let _open = &open;
        Ok::<_, Infallible>(event)
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
