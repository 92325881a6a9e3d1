//! Users, repositories, hooks, keys, collaborators, tokens.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use lb_git::{HookTarget, HostError, Kind, Login};
use lb_http::auth::Identity;
use lb_http::contract::git_api as contract;
use lb_http::error::{ApiError, code};
use lb_http::extract::{JsonBody, Parameters, QueryOf};
use lb_vocab::{GitUser, Prefix, Secret};
use serde::Deserialize;
use serde_json::{Value, json};

use super::target::{AtRepo, AtUser};
use super::{Shared, access, errors, wire};

/// Keys that the system's own pods registered; users do not see them.
const INTERNAL: &str = "lunchbadger-internal-";

type Answer = Result<Json<Value>, ApiError>;

fn no_user(user: &GitUser) -> ApiError {
    ApiError::not_found(code::USER_NOT_FOUND, format!("git user `{user}` does not exist"))
}

#[derive(Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    q: String,
}

pub(super) async fn search(State(app): State<Shared>, QueryOf(Search { q }): QueryOf<Search>) -> Answer {
    let users = app.host.search_users(&q).await.map_err(errors::api)?;
    let users: Vec<_> = users.into_iter().map(wire::user).collect();
    Ok(Json(json!({"users": users})))
}

/// Every user of a prefix with all its repositories.
pub(super) async fn list(State(app): State<Shared>, parameters: Parameters) -> Answer {
    let prefix: Prefix = parameters
        .get("prefix")
        .parse()
        .map_err(|error: lb_vocab::TextError| ApiError::bad_request(error.to_string()))?;
    let users = app.host.users(&prefix).await.map_err(errors::api)?;
    let with_repos = |(user, repos): (lb_git::User, Vec<lb_git::Repository>)| contract::UserWithRepos {
        user: wire::user(user),
        repos: repos.into_iter().map(wire::repository).collect(),
    };
    let users: Vec<_> = users.into_iter().map(with_repos).collect();
    let total = users.len();
    Ok(Json(json!({"users": users, "total": total})))
}

#[derive(Deserialize)]
pub(super) struct NewUser {
    name: String,
    prefix: Prefix,
}

pub(super) async fn create(State(app): State<Shared>, JsonBody(body): JsonBody<NewUser>) -> Answer {
    let user = GitUser { prefix: body.prefix, name: body.name };
    Login::try_from(&user).map_err(|error| ApiError::bad_request(error.to_string()))?;
    let (user, created) = app.host.create_user(&user).await.map_err(errors::api)?;
    Ok(Json(json!({"user": wire::user(user), "created": created})))
}

pub(super) async fn get(State(app): State<Shared>, at: AtUser) -> Answer {
    let user = app.host.user(&at.user).await.map_err(errors::api)?.ok_or_else(|| no_user(&at.user))?;
    Ok(Json(json!({"user": wire::user(user)})))
}

pub(super) async fn repositories(State(app): State<Shared>, at: AtUser) -> Answer {
    let repos =
        app.host.repositories(&at.user).await.map_err(errors::api)?.ok_or_else(|| no_user(&at.user))?;
    let repos: Vec<_> = repos.into_iter().map(wire::repository).collect();
    Ok(Json(json!({"repos": repos})))
}

pub(super) async fn reachable(State(app): State<Shared>, at: AtUser) -> Answer {
    access::reachable(&app, &at.login, wire::to_host(at.who.reach())).await
}

pub(super) async fn ensure_repository(State(app): State<Shared>, at: AtRepo) -> Answer {
    let repo = app.host.ensure_repository(&at.user, &at.repo).await.map_err(errors::api)?;
    Ok(Json(json!({"repo": wire::repository(repo)})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewHook {
    callback_url: Option<String>,
    url: Option<String>,
    #[serde(default)]
    anew: bool,
}

pub(super) async fn hook(State(app): State<Shared>, at: AtRepo, JsonBody(body): JsonBody<NewHook>) -> Answer {
    let url = app.callbacks.choose(body.callback_url.or(body.url).as_deref()).await?;
    let repository = format!("{}/{}", at.user, at.repo);
    let (url, secret) = match &app.hook_key {
        Some(key) => (key.address(&url, &repository), key.secret(&repository)),
        None => (url, Secret::new(String::new())),
    };
    let target = HookTarget { url: url.into(), secret, anew: body.anew };
    let (_, found) = app.host.ensure_hook(&at.user, &at.repo, &target).await.map_err(errors::api)?;
    Ok(Json(json!({"ok": true, "found": wire::found(found)})))
}

/// Somebody heard that something happened to a repository: what, is looked up.
pub(super) async fn look(State(app): State<Shared>, at: AtRepo) -> Answer {
    app.host.look(&at.user, &at.repo).await.map_err(errors::api)?;
    Ok(Json(json!({"ok": true})))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewKey {
    public_key: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    title: Option<String>,
}

pub(super) async fn add_key(
    State(app): State<Shared>,
    at: AtUser,
    JsonBody(body): JsonBody<NewKey>,
) -> Result<Response, ApiError> {
    ours(&app, &at.user)?;
    let title = title(&at.who, body.kind.as_deref(), body.title)?;
    match app.host.add_key(&at.user, &title, &body.public_key).await {
        Ok(key) => Ok(Json(json!({"result": wire::key(key)})).into_response()),
        // Clients of this route read a text, and repeat a 422.
        Err(HostError::Refused { why }) => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": why}))).into_response())
        }
        Err(error) => Err(errors::api(error)),
    }
}

/// Refuses to make credentials of users outside the producers' prefix: among them are the git host's administrators.
fn ours(app: &Shared, user: &GitUser) -> Result<(), ApiError> {
    if user.prefix == app.prefix { Ok(()) } else { Err(ApiError::forbidden()) }
}

fn title(who: &Identity, kind: Option<&str>, title: Option<String>) -> Result<String, ApiError> {
    if let Identity::Pod { producer: _, component } = who
        && kind != Some(component)
    {
        return Err(ApiError::forbidden());
    }
    match (kind, title) {
        (Some(kind @ ("workspace" | "sls-api")), _) => Ok(format!("{INTERNAL}{kind}")),
        (Some(_), _) => Err(ApiError::bad_request("`type` is `workspace` or `sls-api`, or is left out")),
        (None, Some(title)) if title.starts_with(INTERNAL) => {
            Err(ApiError::bad_request(format!("titles that begin with `{INTERNAL}` are the platform's own")))
        }
        (None, Some(title)) if !title.trim().is_empty() => Ok(title),
        (None, _) => Ok("key".to_owned()),
    }
}

pub(super) async fn keys(State(app): State<Shared>, at: AtUser) -> Answer {
    let keys = app.host.keys(&at.user).await.map_err(errors::api)?;
    let keys: Vec<_> =
        keys.into_iter().filter(|key| !key.title.starts_with(INTERNAL)).map(wire::key).collect();
    Ok(Json(json!({"publicKeys": keys})))
}

pub(super) async fn delete_key(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtUser,
) -> Result<Response, ApiError> {
    let unknown = || (StatusCode::BAD_REQUEST, Json(json!({"result": "UNKNOWN_ID"}))).into_response();
    let id = parameters.get("id").parse().ok();
    let Some(id) = id else { return Ok(unknown()) };
    match app.host.delete_key(&at.user, id).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(HostError::NotFound { what: Kind::Key, name: _ }) => Ok(unknown()),
        Err(error) => Err(errors::api(error)),
    }
}

#[derive(Deserialize)]
pub(super) struct NewToken {
    name: String,
}

pub(super) async fn create_token(
    State(app): State<Shared>,
    at: AtUser,
    JsonBody(body): JsonBody<NewToken>,
) -> Answer {
    ours(&app, &at.user)?;
    let (_, token) = app.host.create_token(&at.login, &body.name).await.map_err(errors::api)?;
    Ok(Json(json!({"token": token.reveal()})))
}

pub(super) async fn collaborators(State(app): State<Shared>, at: AtRepo) -> Answer {
    let collaborators = app.host.collaborators(&at.user, &at.repo).await.map_err(errors::api)?;
    let collaborators: Vec<_> = collaborators.into_iter().map(wire::collaborator).collect();
    Ok(Json(json!({"collaborators": collaborators})))
}

fn collaborator(parameters: &Parameters) -> Result<Login, ApiError> {
    parameters
        .get("collaborator")
        .parse()
        .map_err(|error: lb_vocab::TextError| ApiError::bad_request(error.to_string()))
}

#[derive(Deserialize)]
pub(super) struct Allowed {
    permission: contract::Permission,
}

pub(super) async fn set_collaborator(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
    JsonBody(body): JsonBody<Allowed>,
) -> Answer {
    let login = collaborator(&parameters)?;
    let permission = wire::to_host(body.permission);
    app.host.set_collaborator(&at.user, &at.repo, &login, permission).await.map_err(errors::api)?;
    Ok(Json(json!({"ok": true})))
}

pub(super) async fn remove_collaborator(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtRepo,
) -> Result<StatusCode, ApiError> {
    let login = collaborator(&parameters)?;
    app.host.remove_collaborator(&at.user, &at.repo, &login).await.map_err(errors::api)?;
    Ok(StatusCode::NO_CONTENT)
}
