//! The Workspace API (4231): the entities of the LoopBack project in the clone. What is answered and changed is decided by
//! [`lb_project::Workspace`], a pure function of the files; here it meets the clone.

mod explorer;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderValue, StatusCode, Uri, header};
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_http::extract::read_whole;
use lb_http::route::Seam;
use lb_project::{Method, Request as Asked};
use lb_vocab::Tree;
use serde_json::Value;

pub(super) use explorer::Explorer;
pub(super) use view::{View, cleared};

use super::Shared;
use super::store::Edit;

/// A body at most, bytes: an entity, or some hundreds of them.
const BODY: usize = 4 << 20;

lb_http::routes! { Shared;
    GET "/" Public root, "`{started,uptime}`: the clone is here, and its APIs answer";
    GET "/explorer" Read explorer::pass, "the app's own answer at the path behind `/explorer`; 502 where it does not answer";
    GET "/explorer/" Read explorer::pass, "the app's own answer at the path behind `/explorer`; 502 where it does not answer";
    GET "/explorer/{*path}" Read explorer::pass, "the app's own answer at the path behind `/explorer`; 502 where it does not answer";
    POST "/explorer/{*path}" Write explorer::pass, "the same";
    PUT "/explorer/{*path}" Write explorer::pass, "the same";
    PATCH "/explorer/{*path}" Write explorer::pass, "the same";
    DELETE "/explorer/{*path}" Write explorer::pass, "the same";
    GET "/api/{*path}" Read read, "entities, as `loopback-workspace` answers them";
    POST "/api/{*path}" Write write, "the entity that was made, or stored where it has an `id`";
    PUT "/api/{*path}" Write write, "the entity, into which the given keys were merged";
    PATCH "/api/{*path}" Write write, "the same";
    DELETE "/api/{*path}" Write write, "`{count}` of what was removed, or 204";
}

pub(super) fn all(seam: &Seam, workspace: &Shared) -> axum::Router {
    router(seam).with_state(workspace.clone())
}

async fn root(State(workspace): State<Shared>) -> Json<Value> {
    Json(workspace.started.answer())
}

/// What the pure part answers, without what it wants changed.
struct Answered {
    status: u16,
    body: Vec<u8>,
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        let Self { status, body } = self;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if body.is_empty() {
            return status.into_response();
        }
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
        (status, kind, Body::from(body)).into_response()
    }
}

fn method(method: &http::Method) -> Result<Method, ApiError> {
    method.as_str().parse().map_err(|_| ApiError::bad_request(format!("`{method}` is no method of this API")))
}

fn asked<'a>(method: Method, uri: &'a Uri, body: &'a [u8]) -> Asked<'a> {
    Asked { method, path: uri.path(), query: uri.query().unwrap_or_default(), body }
}

async fn read(State(workspace): State<Shared>, request: Request) -> Result<Answered, ApiError> {
    let project = workspace.view.at(&workspace.store.snapshot().tree);
    let answer = project.answer(&asked(method(request.method())?, request.uri(), b""));
    Ok(Answered { status: answer.status, body: answer.body })
}

async fn write(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    request: Request,
) -> Result<Answered, ApiError> {
    let (method, uri) = (method(request.method())?, request.uri().clone());
    let body = read_whole(request, BODY).await?;
    let author = workspace.author(&who).await?;
    let view = Arc::clone(&workspace.view);
    let edit = move |tree: &Arc<Tree>| {
        let answer = view.at(tree).answer(&asked(method, &uri, &body));
        // Packages that a connector needs stand in `package.json`: the app's supervisor sees that and installs them.
        let lb_project::Answer { status, body, changes, what, packages: _ } = answer;
        Ok(Edit { what, changes, answer: Answered { status, body } })
    };
    workspace.store.save(author, edit).await
}
