//! The OpenAPI documents of producers' apps, kept in git: so the auto gateway does not depend on an app that runs.

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use lb_git::working::Person;
use lb_git::{Kept, RefName};
use lb_http::contract::git_api::KeptDocument;
use lb_http::contract::supervisor::DOCUMENT_LIMIT;
use lb_http::error::ApiError;
use lb_http::extract::{Parameters, read_pieces};
use lb_project::openapi_ref;
use lb_vocab::{CommitId, Environment, SafePath, TextError};

use super::target::AtRepo;
use super::{Shared, errors};

/// The file's name under its reference.
const FILE: &str = "openapi.json";

pub(super) async fn put(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
    request: Request,
) -> Result<Json<KeptDocument>, ApiError> {
    let bad = |error: TextError| ApiError::bad_request(error.to_string());
    let environment: Environment = parameters.get("environment").parse().map_err(bad)?;
    let of: CommitId = parameters.get("commit").parse().map_err(bad)?;
    let reference: RefName = openapi_ref(&environment).parse().map_err(bad)?;
    let path: SafePath = FILE.parse().map_err(bad)?;
    let mut content = Vec::new();
    read_pieces(request, DOCUMENT_LIMIT, |piece| content.extend_from_slice(piece)).await?;
    lb_project::check_openapi(&content)
        .map_err(|problem| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "DOCUMENT_REFUSED", problem))?;
    let committer = Person { name: "LunchBadger".to_owned(), email: "support@lunchbadger.com".to_owned() };
    let file = Kept {
        reference: &reference,
        path: &path,
        content: &content,
        committer: &committer,
        message: &format!("LunchBadger: OpenAPI document of {of}"),
    };
    let kept = lb_git::keep(&*app.host, (&at.user, &at.repo), &file, app.clock.now()).await;
    let (commit, kept) = kept.map_err(errors::api)?;
    Ok(Json(KeptDocument { commit, kept }))
}
