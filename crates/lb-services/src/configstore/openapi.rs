//! The OpenAPI document of a producer's app, which the workspace's pod shows.

use axum::extract::{Request, State};
use axum::{Extension, Json};
use lb_desired::build::names::WORKSPACE;
use lb_http::auth::Identity;
use lb_http::contract::git_api::KeptDocument;
use lb_http::contract::supervisor::{DOCUMENT_LIMIT, refused_document};
use lb_http::error::ApiError;
use lb_http::extract::{Parameters, read_whole};
use lb_vocab::{CommitId, Environment, GitUser, Producer, ProducerName, RepoName};

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
    let name: ProducerName = parameters.parsed("name")?;
    let environment: Environment = parameters.parsed("environment")?;
    let commit: CommitId = parameters.parsed("commit")?;
    let producer =
        Producer::new(name, environment).map_err(|error| ApiError::bad_request(error.to_string()))?;
    if !runs_it(&who, &producer) {
        return Err(ApiError::forbidden());
    }
    let document = read_whole(request, DOCUMENT_LIMIT).await?;
    // What the app shows is nobody's word: git-api keeps no document that would not be read.
    lb_project::check_openapi(&document).map_err(refused_document)?;
    let user = GitUser::of(app.prefix.clone(), producer.name());
    let at = (&user, &RepoName::dev());
    let kept = app.git.keep_document(at, producer.environment(), &commit, document).await;
    kept.map(Json).map_err(|error| upstream(&error))
}
