//! The Workspace API (4231), over the LoopBack project in the clone: so far the readiness that kubelet asks for. Its
//! entities are pure edits of files (`lb_project`), each saved as `Store::save` wants it.

use axum::Json;
use axum::extract::State;
use lb_http::route::Seam;
use serde_json::Value;

use super::Shared;

lb_http::routes! { Shared;
    GET "/" Public root, "`{started,uptime}`: the clone is here, and its APIs answer";
}

pub(super) fn all(seam: &Seam, workspace: &Shared) -> axum::Router {
    router(seam).with_state(workspace.clone())
}

async fn root(State(workspace): State<Shared>) -> Json<Value> {
    Json(workspace.started.answer())
}
