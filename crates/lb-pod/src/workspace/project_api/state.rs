//! The status of the workspace, and what may be done to it as a whole.

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use axum::{Extension, Json};
use http::StatusCode;
use lb_http::auth::{Identity, Rule};
use lb_http::error::ApiError;
use lb_http::extract::Parameters;
use lb_vocab::with_causes;
use serde_json::{Value, json};

use super::super::app::AppRequest;
use super::super::status::ID;
use super::super::{Shared, Workspace};
use super::unknown;

pub(super) async fn root(State(workspace): State<Shared>) -> Json<Value> {
    Json(workspace.started.answer())
}

pub(super) async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) async fn get(
    State(workspace): State<Shared>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let id = parameters.get("id");
    if id != ID.to_string() {
        return Err(unknown("WorkspaceStatus", id));
    }
    let facts = workspace.board.follow().borrow().clone();
    Ok(Json(workspace.board.answer(&facts)))
}

/// The status as it is, then as it becomes. It ends for whom the git host's permissions no longer name.
pub(super) async fn stream(State(workspace): State<Shared>, Extension(who): Extension<Identity>) -> Response {
    let mut facts = workspace.board.follow();
    facts.mark_changed();
    let (metrics, shutdown) = (workspace.metrics.clone(), workspace.shutdown.clone());
    let events = futures::stream::unfold((workspace, facts, who), |(workspace, mut facts, who)| async move {
        facts.changed().await.ok()?;
        let may_read = workspace.members.satisfies(Rule::Read, &who).await;
        may_read.ok().filter(|may_read| *may_read)?;
        let now = facts.borrow_and_update().clone();
        let event = json!({ "target": ID, "data": workspace.board.answer(&now), "type": "update" });
        let event = Event::default().event("data").json_data(event).ok()?;
        Some((event, (workspace, facts, who)))
    });
    lb_http::sse::respond(events, &metrics, &shutdown)
}

impl Workspace {
    fn ask(&self, request: AppRequest) -> Result<StatusCode, ApiError> {
        if self.app.ask(request) {
            return Ok(StatusCode::NO_CONTENT);
        }
        let message = "nobody supervises the app: its container has not connected";
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "APP_UNSUPERVISED", message).retry_after(5))
    }
}

pub(super) async fn restart(State(workspace): State<Shared>) -> Result<StatusCode, ApiError> {
    workspace.ask(AppRequest::Restart)
}

pub(super) async fn reinstall(State(workspace): State<Shared>) -> Result<StatusCode, ApiError> {
    workspace.ask(AppRequest::Reinstall)
}

pub(super) async fn hard_reset(State(workspace): State<Shared>) -> Result<StatusCode, ApiError> {
    workspace.sync.reset().await.map_err(|error| {
        tracing::warn!(error = with_causes(&error), "the files cannot be reset");
        let message = "nothing was reset: the git host does not answer";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "GIT_HOST", message).retry_after(5)
    })?;
    // The files are what they should be; an app that nobody supervises has nothing to be told.
    let _supervised = workspace.app.ask(AppRequest::Restart);
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn self_destruct(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
) -> StatusCode {
    tracing::warn!(%who, "asked to end");
    workspace.shutdown.cancel();
    StatusCode::NO_CONTENT
}
