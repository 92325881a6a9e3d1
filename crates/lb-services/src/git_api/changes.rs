//! The one stream of changes, whose event id is the cursor: as JSON, and as server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures::Stream;
use http::{HeaderMap, header};
use lb_git::{Cursor, GitHost};
use lb_http::error::ApiError;
use lb_http::extract::QueryOf;
use serde::Deserialize;
use tokio::sync::watch;

use super::{Shared, errors, wire};

#[derive(Deserialize)]
pub(super) struct After {
    after: Option<String>,
}

pub(super) async fn changes(
    State(app): State<Shared>,
    QueryOf(After { after }): QueryOf<After>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let streaming = text(header::ACCEPT).is_some_and(|accept| accept.contains("text/event-stream"));
    // The browser's own reconnecting sends the header and repeats the query: the header is newer.
    let last = streaming.then(|| text(header::HeaderName::from_static("last-event-id"))).flatten();
    // A cursor that cannot be one is as good as one that is no longer known: a reset.
    let cursor = last.or(after.as_deref()).and_then(|text| text.parse::<Cursor>().ok());
    if streaming {
        let first = app.host.changes(cursor.as_ref()).await.map_err(errors::api)?;
        let events = stream(Arc::clone(&app.host), first);
        return Ok(lb_http::sse::respond(events, &app.metrics, &app.shutdown));
    }
    let changes = app.host.changes(cursor.as_ref()).await.map_err(errors::api)?;
    Ok(Json(wire::changes(changes)).into_response())
}

struct Following {
    host: Arc<dyn GitHost>,
    moved: watch::Receiver<Cursor>,
    cursor: Cursor,
    ready: VecDeque<Event>,
}

/// Pulled by the client: between two reads nothing piles up here but one answer of the host. It ends where the host
/// fails; the client comes back with the last id it saw.
fn stream(host: Arc<dyn GitHost>, first: lb_git::Changes) -> impl Stream<Item = Event> + Send {
    let mut moved = host.subscribe();
    // Whatever happened before subscribing is found by looking once more.
    moved.mark_changed();
    let cursor = first.cursor.clone();
    let state = Following { host, moved, cursor, ready: events(first) };
    futures::stream::unfold(state, |mut state| async move {
        loop {
            if let Some(event) = state.ready.pop_front() {
                return Some((event, state));
            }
            state.moved.changed().await.ok()?;
            let changes = state
                .host
                .changes(Some(&state.cursor))
                .await
                .inspect_err(|error| tracing::warn!(%error, "a stream of changes ends"))
                .ok()?;
            state.cursor = changes.cursor.clone();
            state.ready = events(changes);
        }
    })
}

fn events(changes: lb_git::Changes) -> VecDeque<Event> {
    if changes.reset {
        let id = changes.cursor.to_string();
        return event("reset", &id, &wire::changes(changes)).into_iter().collect();
    }
    let one = |change: lb_git::Change| {
        let id = change.cursor.to_string();
        event("change", &id, &wire::change(change))
    };
    changes.changes.into_iter().filter_map(one).collect()
}

fn event(kind: &str, id: &str, data: &impl serde::Serialize) -> Option<Event> {
    Event::default()
        .event(kind)
        .id(id)
        .json_data(data)
        .inspect_err(|error| tracing::error!(%error, "a change cannot be encoded"))
        .ok()
}
