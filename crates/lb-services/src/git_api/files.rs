//! Files, many at one commit or one on `master`, and histories.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use lb_git::{At, Globs, RefName, TreeAnswer};
use lb_http::contract::git_api::{TreeBody, TreeRequest};
use lb_http::error::{ApiError, code};
use lb_http::extract::{JsonBody, Parameters, QueryOf};
use lb_vocab::{Blob, SafePath};
use serde::Deserialize;
use serde_json::{Value, json};

use super::target::AtRepo;
use super::{Shared, errors, wire};

/// The largest file that the file route answers, bytes.
const MAX_FILE: u64 = 32 << 20;
/// The largest file that many-file answers carry, bytes, whatever is asked for.
const MAX_MANY: u64 = 16 << 20;
/// Commits of a history where no limit is given.
const COMMITS: usize = 100;

fn bad(error: impl std::fmt::Display) -> ApiError {
    ApiError::bad_request(error.to_string())
}

pub(super) async fn trees(
    State(app): State<Shared>,
    at: AtRepo,
    JsonBody(body): JsonBody<TreeRequest>,
) -> Result<Json<TreeBody>, ApiError> {
    let TreeRequest { reference, globs, max_bytes } = body;
    let wanted: At = reference.parse().map_err(bad)?;
    let globs = Globs::new(&globs).map_err(errors::api)?;
    let tree = app.host.tree(&at.user, &at.repo, &wanted, &globs, max_bytes.min(MAX_MANY)).await;
    Ok(Json(wire::tree(tree.map_err(errors::api)?)))
}

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(rename = "ref")]
    reference: Option<String>,
    path: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn history(
    State(app): State<Shared>,
    at: AtRepo,
    QueryOf(Which { reference, path, limit }): QueryOf<Which>,
) -> Result<Json<Value>, ApiError> {
    let from = reference.map_or(Ok(At::Ref(RefName::master())), |text| text.parse()).map_err(bad)?;
    let path =
        path.filter(|path| !path.is_empty()).map(|path| path.parse::<SafePath>()).transpose().map_err(bad)?;
    let limit = limit.unwrap_or(COMMITS);
    let commits =
        app.host.history(&at.user, &at.repo, &from, path.as_ref(), limit).await.map_err(errors::api)?;
    let commits: Vec<_> = commits.into_iter().map(wire::commit).collect();
    Ok(Json(json!({"commits": commits})))
}

/// The file at the asked path on `master`; `data` is null where there is none.
pub(super) async fn file(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
) -> Result<Json<Value>, ApiError> {
    // The route of a file called `hook` has no parameter for it.
    let path = Some(parameters.get("path")).filter(|path| !path.is_empty()).unwrap_or("hook");
    let path: SafePath = path.parse().map_err(bad)?;
    let globs = Globs::new(&[literal(path.as_str())]).map_err(errors::api)?;
    let master = At::Ref(RefName::master());
    let answer = app.host.tree(&at.user, &at.repo, &master, &globs, MAX_FILE).await.map_err(errors::api)?;
    let blob = match &answer {
        TreeAnswer::Known { commit: _, tree } => tree.files.get(&path),
        TreeAnswer::NoSuchRef { refs: _ } => None,
    };
    match blob {
        Some(Blob::File(content)) => Ok(Json(json!({"data": STANDARD.encode(content)}))),
        Some(Blob::TooLarge { size }) => {
            let message = format!("`{path}` has {size} bytes, {MAX_FILE} are answered at most");
            Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, message))
        }
        Some(Blob::Symlink | Blob::Submodule) | None => Ok(Json(json!({"data": null}))),
    }
}

/// A glob that matches this path alone.
fn literal(path: &str) -> String {
    path.chars().fold(String::new(), |mut glob, c| {
        if "*?[]{}\\".contains(c) {
            glob.push('\\');
        }
        glob.push(c);
        glob
    })
}
