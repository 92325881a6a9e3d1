//! The OpenAPI documents of producers' apps, kept in git: so the auto gateway does not depend on an app that runs.

use axum::Json;
use axum::extract::{Request, State};
use lb_git::working::Person;
use lb_git::{Kept, RefName};
use lb_http::contract::git_api::KeptDocument;
use lb_http::contract::supervisor::{DOCUMENT_LIMIT, refused_document};
use lb_http::error::ApiError;
use lb_http::extract::{Parameters, read_whole};
use lb_project::{OPENAPI_FILE, openapi_ref};
use lb_vocab::{CommitId, Environment, SafePath, TextError};

use super::target::AtRepo;
use super::{Shared, errors};

pub(super) async fn put(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
    request: Request,
) -> Result<Json<KeptDocument>, ApiError> {
    let bad = |error: TextError| ApiError::bad_request(error.to_string());
    let environment: Environment = parameters.parsed("environment")?;
    let of: CommitId = parameters.parsed("commit")?;
    let reference: RefName = openapi_ref(&environment).parse().map_err(bad)?;
    let path: SafePath = OPENAPI_FILE.parse().map_err(bad)?;
    let content = read_whole(request, DOCUMENT_LIMIT).await?;
    lb_project::check_openapi(&content).map_err(refused_document)?;
    let file = Kept {
        reference: &reference,
        path: &path,
        content: &content,
        committer: &Person::system(),
        message: &format!("LunchBadger: OpenAPI document of {of}"),
    };
    let kept = lb_git::keep(&*app.host, (&at.user, &at.repo), &file, app.clock.now()).await;
    let (commit, kept) = kept.map_err(errors::api)?;
    Ok(Json(KeptDocument { commit, kept }))
}
