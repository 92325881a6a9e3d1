//! The producers: listed, one, made.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use lb_desired::crd::in_default_environment;
use lb_http::contract::configstore::{Created, CreatedUser, Producer, ProducerEntry, TOTAL_HEADER};
use lb_http::contract::git_api::{User, UserWithRepos};
use lb_http::error::{ApiError, code};
use lb_http::extract::{JsonBody, Parameters};
use lb_vocab::{GitUser, ProducerName, RepoName, TextError};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, upstream};

pub(super) async fn list(State(app): State<Shared>) -> Result<Response, ApiError> {
    let users = app.git.users(&app.prefix).await.map_err(|error| upstream(&error))?;
    let prefix = &app.prefix;
    let entry = |UserWithRepos { user, repos }| {
        let name = GitUser::from_login(prefix, &user.login)?.name;
        let finding = name.parse().and_then(in_default_environment).err().map(|error| error.to_string());
        Some(ProducerEntry { user, name, namespace: prefix.to_string(), repos, finding })
    };
    let producers: Vec<ProducerEntry> = users.into_iter().filter_map(entry).collect();
    Ok(([(TOTAL_HEADER, producers.len().to_string())], Json(producers)).into_response())
}

pub(super) async fn get(
    State(app): State<Shared>,
    parameters: Parameters,
) -> Result<Json<Producer>, ApiError> {
    let name = parameters.get("name");
    let missing =
        || ApiError::not_found(code::PRODUCER_NOT_FOUND, format!("producer `{name}` does not exist"));
    let name: ProducerName = name.parse().map_err(|_: TextError| missing())?;
    let git_user = GitUser::of(app.prefix.clone(), &name);
    let failed = |error| upstream(&error);
    let user = app.git.user(&git_user).await.map_err(failed)?.ok_or_else(missing)?;
    let repos = app.git.repositories(&git_user).await.map_err(failed)?.ok_or_else(missing)?;
    Ok(Json(Producer { id: name.to_string(), envs: serde_json::Map::new(), user, repos }))
}

#[derive(Deserialize)]
pub(super) struct NewProducer {
    pub(super) id: ProducerName,
}

pub(super) async fn create(
    State(app): State<Shared>,
    JsonBody(body): JsonBody<NewProducer>,
) -> Result<Json<Created>, ApiError> {
    let git_user = deployable(&app, &body.id)?;
    let (user, _) = app.git.create_user(&git_user).await.map_err(|error| upstream(&error))?;
    furnish(&app, body.id, &git_user, user).await.map(Json)
}

/// The git user of a producer that can be deployed.
pub(super) fn deployable(app: &Shared, name: &ProducerName) -> Result<GitUser, ApiError> {
    in_default_environment(name.clone()).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(GitUser::of(app.prefix.clone(), name))
}

/// Makes sure that a producer's user has its repositories with their webhooks.
pub(super) async fn furnish(
    app: &Shared,
    name: ProducerName,
    git_user: &GitUser,
    user: User,
) -> Result<Created, ApiError> {
    let failed = |error| upstream(&error);
    for repo in RepoName::of_every_producer() {
        app.git.ensure_repository(git_user, &repo).await.map_err(failed)?;
        let found = app.git.ensure_hook(git_user, &repo, &app.hook_url, false).await.map_err(failed)?;
        app.repairs.registered(git_user, &repo, found);
    }
    let repos = app.git.repositories(git_user).await.map_err(failed)?.unwrap_or_default();
    Ok(Created { id: name.to_string(), user: CreatedUser { user }, repos })
}

pub(super) async fn access_key() -> Json<Value> {
    Json(json!({"key": null, "message": "access keys are not in use: authenticate with a token"}))
}
