//! The files of the workspace as a tree.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_http::extract::json_object;
use lb_vocab::Tree;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::Shared;
use super::super::store::Edit;
use crate::tree::{BODY, Wanted, tree};

#[derive(Deserialize)]
struct Body {
    files: Map<String, Value>,
}

pub(super) async fn get(State(workspace): State<Shared>) -> Json<Value> {
    Json(json!({ "files": tree(&workspace.store.snapshot().tree.files, "") }))
}

pub(super) async fn put(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let Body { files } = json_object(request, BODY).await?;
    let wanted = Wanted::of("", files)?;
    let author = workspace.author(&who).await?;
    let edit = move |files: &Arc<Tree>| {
        Ok(Edit { what: "files".to_owned(), changes: wanted.changes(files), answer: json!({}) })
    };
    workspace.store.save(author, edit).await.map(Json)
}
