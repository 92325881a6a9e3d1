//! The OpenAPI document of a producer's app, which the workspace's pod shows.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use lb_desired::build::names::WORKSPACE;
use lb_http::auth::Identity;
use lb_http::contract::git_api::KeptDocument;
use lb_http::contract::supervisor::DOCUMENT_LIMIT;
use lb_http::error::ApiError;
use lb_http::extract::{Parameters, read_pieces};
use lb_vocab::{CommitId, Environment, GitUser, Producer, ProducerName, RepoName, TextError};

use super::{Shared, upstream};

/// Whether this is the pod in which that app runs. People have no document to show, their app has.
fn runs_it(who: &Identity, producer: &Producer) -> bool {
    match who {
        Identity::Pod { producer: own, component } => own == producer && component == WORKSPACE,
        Identity::System { .. } | Identity::Operator => true,
        Identity::Anonymous | Identity::User { .. } => false,
    }
}

pub(super) async fn put(
    State(app): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
    request: Request,
) -> Result<Json<KeptDocument>, ApiError> {
    let bad = |error: TextError| ApiError::bad_request(error.to_string());
    let name: ProducerName = parameters.get("name").parse().map_err(bad)?;
    let environment: Environment = parameters.get("environment").parse().map_err(bad)?;
    let commit: CommitId = parameters.get("commit").parse().map_err(bad)?;
    let producer = Producer::new(name, environment).map_err(bad)?;
    if !runs_it(&who, &producer) {
        return Err(ApiError::forbidden());
    }
    let mut document = Vec::new();
    read_pieces(request, DOCUMENT_LIMIT, |piece| document.extend_from_slice(piece)).await?;
    // What the app shows is nobody's word: git-api keeps no document that would not be read.
    lb_project::check_openapi(&document).map_err(|problem| {
        ApiError::new(http::StatusCode::UNPROCESSABLE_ENTITY, "DOCUMENT_REFUSED", problem)
    })?;
    let user = GitUser::of(app.prefix.clone(), producer.name());
    let at = (&user, &RepoName::dev());
    let kept = app.git.keep_document(at, producer.environment(), &commit, document).await;
    kept.map(Json).map_err(|error| upstream(&error))
}
