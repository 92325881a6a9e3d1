//! What became of a commit, told to whoever looks at it.

use axum::Json;
use axum::extract::State;
use lb_http::contract::git_api::CommitStatus;
use lb_http::error::ApiError;
use lb_http::extract::{JsonBody, Parameters};
use lb_vocab::{CommitId, shortened};
use serde_json::{Value, json};

use super::target::AtRepo;
use super::{Shared, errors, wire};

/// Length of a description, bytes: what git hosts show.
const DESCRIPTION_BYTES: usize = 255;

pub(super) async fn put(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
    JsonBody(body): JsonBody<CommitStatus>,
) -> Result<Json<Value>, ApiError> {
    let commit: CommitId = parameters.parsed("commit")?;
    let CommitStatus { context, state, description, file, line } = body;
    let status = lb_git::CommitStatus {
        context,
        state: wire::commit_state(state),
        description: shortened(description, DESCRIPTION_BYTES),
        place: file.zip(line.filter(|line| *line > 0)),
    };
    let kept = app.host.set_commit_status(&at.user, &at.repo, &commit, &status).await;
    Ok(Json(json!({"kept": kept.map_err(errors::api)?})))
}
