//! Self-service: a git user makes a producer, and becomes its admin.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use lb_http::auth::Identity;
use lb_http::contract::configstore::Created;
use lb_http::contract::git_api::{Permission, Permissions};
use lb_http::error::{ApiError, code};
use lb_http::extract::JsonBody;
use lb_vocab::{GitUser, RepoName};

use super::producers::{NewProducer, deployable, furnish};
use super::settings::SignUp;
use super::{Shared, upstream};

/// The host makes a user once, however many ask at once: whose question made it gets the producer, and nobody else.
pub(super) async fn sign_up(
    State(app): State<Shared>,
    Extension(who): Extension<Identity>,
    JsonBody(body): JsonBody<NewProducer>,
) -> Result<Json<Created>, ApiError> {
    let refused = |why: &str| ApiError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, why);
    if app.sign_up == SignUp::Operator {
        return Err(refused("an operator makes producers here: SIGN_UP is not `self` at the configstore"));
    }
    let Identity::User { login, reach: Permission::Admin } = who else {
        return Err(refused("only a git user signs up, with credentials that may write"));
    };
    let owner = deployable(&app, &body.id)?;
    let _turn = app.sign_ups.enter(&login).await?;
    within_limit(&app, &owner, &login).await?;
    let (user, made) = app.git.create_user(&owner).await.map_err(|error| upstream(&error))?;
    if !made {
        let message = format!("the name `{}` is taken: choose another", body.id);
        return Err(ApiError::new(StatusCode::CONFLICT, "NAME_TAKEN", message));
    }
    let created = furnish(&app, body.id, &owner, user).await?;
    for repo in RepoName::of_every_producer() {
        let made = app.git.set_collaborator(&owner, &repo, &login, Permission::Admin).await;
        made.map_err(|error| upstream(&error))?;
    }
    tracing::info!(producer = %created.id, login, "signed up");
    Ok(Json(created))
}

/// Whether the login may have one more producer. Those that it administers no longer do not count.
async fn within_limit(app: &Shared, owner: &GitUser, login: &str) -> Result<(), ApiError> {
    let reachable = app.git.reachable(login).await.map_err(|error| upstream(&error))?;
    // Every producer has one `dev`.
    let administered = reachable.into_iter().filter(|repo| {
        repo.name == "dev" && repo.permissions.and_then(Permissions::most) == Some(Permission::Admin)
    });
    let has: Vec<String> = administered
        .filter_map(|repo| GitUser::from_login(&owner.prefix, &repo.owner.login).map(|user| user.name))
        .collect();
    if has.len() < app.sign_up_limit {
        return Ok(());
    }
    let message =
        format!("`{login}` has {} producers already ({}), which is the limit", has.len(), has.join(", "));
    Err(ApiError::new(StatusCode::FORBIDDEN, "TOO_MANY_PRODUCERS", message))
}
