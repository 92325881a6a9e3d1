//! `GET /change-stream/:name`: one producer's pushes as server-sent events.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use lb_http::contract::configstore::PushEvent;
use lb_http::contract::git_api::ChangeKind;
use lb_http::error::ApiError;
use lb_http::extract::Parameters;
use lb_vocab::{CommitId, GitUser, ProducerName};
use tokio::sync::broadcast;

use super::follow::Push;
use super::{App, Shared, upstream};

/// What stands for no commit.
const ZEROS: &str = "0000000000000000000000000000000000000000";

pub(super) async fn stream(
    State(app): State<Shared>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name: ProducerName = parameters.parsed("name")?;
    let user = GitUser::of(app.prefix.clone(), &name);
    // First listen, then look back: what happens in between comes twice, and never not at all.
    let listening = app.followers.subscribe(&user.to_string());
    let missed = match headers.get("last-event-id").and_then(|id| id.to_str().ok()) {
        Some(id) => missed(&app, &user, id).await?,
        None => VecDeque::new(),
    };
    let events = pushes(missed, listening).then({
        let app = Arc::clone(&app);
        move |push| {
            let app = Arc::clone(&app);
            async move { event(&app, &push).await }
        }
    });
    let events = events.filter_map(std::future::ready);
    Ok(lb_http::sse::respond(events, &app.metrics, &app.shutdown))
}

async fn missed(app: &App, user: &GitUser, after: &str) -> Result<VecDeque<Arc<Push>>, ApiError> {
    let changes = app.git.changes(Some(after)).await.map_err(|error| upstream(&error))?;
    let own = changes.changes.into_iter().filter(|change| change.user == *user);
    Ok(own.filter_map(Push::of).map(Arc::new).collect())
}

/// What was missed, then what happens. It ends where its reader is too slow; the reader comes back.
fn pushes(
    missed: VecDeque<Arc<Push>>,
    listening: broadcast::Receiver<Arc<Push>>,
) -> impl Stream<Item = Arc<Push>> + Send {
    futures::stream::unfold((missed, listening), |(mut missed, mut listening)| async move {
        let push = match missed.pop_front() {
            Some(push) => push,
            None => listening.recv().await.ok()?,
        };
        Some((push, (missed, listening)))
    })
}

async fn event(app: &App, push: &Push) -> Option<Event> {
    let is_external = push.is_external(app).await;
    let ChangeKind::Push { reference, before, after, actor: _ } = &push.change.kind else { return None };
    let id = |commit: &Option<CommitId>| commit.as_ref().map_or(ZEROS, CommitId::as_str).to_owned();
    let payload = PushEvent {
        reference: reference.clone(),
        before: id(before),
        after: id(after),
        namespace: push.change.user.prefix.to_string(),
        username: push.change.user.name.clone(),
        kind: "push".to_owned(),
        repo_name: push.change.repo.as_ref()?.to_string(),
        is_external,
    };
    Event::default()
        .event("data")
        .id(&push.change.cursor)
        .json_data(payload)
        .inspect_err(|error| tracing::error!(%error, "a push cannot be encoded"))
        .ok()
}
