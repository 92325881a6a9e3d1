//! Who somebody is, and what they may do with a producer's repositories.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::{Extension, Json};
use futures::future::try_join_all;
use lb_git::{Login, Permission};
use lb_http::auth::Identity;
use lb_http::contract::git_api::{Access, Who};
use lb_http::error::{ApiError, code};
use lb_http::extract::Parameters;
use lb_vocab::{GitUser, RepoName};
use serde_json::{Value, json};

use super::target::AtUser;
use super::{Shared, errors, sign_in, wire};

/// What a login may do with each of a producer's repositories; those that it may not even read are left out.
pub(super) async fn permissions(
    app: &Shared,
    owner: &GitUser,
    login: &Login,
) -> Result<BTreeMap<RepoName, Permission>, ApiError> {
    let asked = RepoName::of_every_producer().into_iter().map(|repo| async move {
        let permission = app.host.permission(login, owner, &repo).await.map_err(errors::api)?;
        Ok::<_, ApiError>(permission.map(|permission| (repo, permission)))
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

fn login(text: &str) -> Result<Login, ApiError> {
    text.parse().map_err(|error: lb_vocab::TextError| ApiError::bad_request(error.to_string()))
}

/// What a login may do: asked by the pods that stand before a producer's APIs.
pub(super) async fn access(
    State(app): State<Shared>,
    parameters: Parameters,
    at: AtUser,
) -> Result<Json<Access>, ApiError> {
    let member = login(parameters.get("member"))?;
    let nobody =
        || ApiError::not_found(code::USER_NOT_FOUND, format!("nobody called `{member}` may do anything"));
    let user = app.host.person(&member).await.map_err(errors::api)?.ok_or_else(nobody)?;
    let repos = permissions(&app, &at.user, &member).await?;
    if repos.is_empty() {
        return Err(nobody());
    }
    let repos = repos.into_iter().map(|(repo, permission)| (repo.into(), wire::from_host(permission)));
    Ok(Json(Access { user: wire::user(user), repos: repos.collect() }))
}

/// Who calls.
pub(super) async fn who_am_i(
    State(app): State<Shared>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Who>, ApiError> {
    let reach = who.reach();
    let (kind, name, user) = match who {
        Identity::Anonymous => return Err(ApiError::unauthenticated()),
        Identity::User { login: name, reach: _ } => {
            let user = app.host.person(&login(&name)?).await.map_err(errors::api)?;
            ("user", name, user.map(wire::user))
        }
        Identity::Pod { producer, component } => ("pod", format!("{component} of {producer}"), None),
        Identity::System { component } => ("system", component, None),
        Identity::Operator => ("operator", "operator".to_owned(), None),
    };
    Ok(Json(Who { kind: kind.to_owned(), name, reach, user }))
}

/// The repositories that the caller may use, with what it may do with these credentials.
pub(super) async fn my_repositories(
    State(app): State<Shared>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Value>, ApiError> {
    let Identity::User { login: name, reach } = who else { return Err(ApiError::forbidden()) };
    reachable(&app, &login(&name)?, wire::to_host(reach)).await
}

/// The repositories that somebody may use.
pub(super) async fn repositories_of(
    State(app): State<Shared>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    reachable(&app, &login(parameters.get("member"))?, Permission::Admin).await
}

pub(super) async fn reachable(
    app: &Shared,
    login: &Login,
    reach: Permission,
) -> Result<Json<Value>, ApiError> {
    let reachable = app.host.reachable(login).await.map_err(errors::api)?;
    let repos: Vec<_> =
        reachable.into_iter().map(|(repo, may)| wire::reachable((repo, may.min(reach)))).collect();
    Ok(Json(json!({"repos": repos})))
}

/// What the tokens of people can be checked with.
pub(super) async fn keys(State(app): State<Shared>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({"keys": sign_in::desk(&app)?.public_keys()?})))
}
