//! What a path names, checked once: a git user, perhaps one of its repositories.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lb_git::Login;
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_http::extract::Parameters;
use lb_vocab::{GitUser, Prefix, RepoName};

use super::Shared;
use super::limits::Place;

/// What the parameters of a path name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) user: GitUser,
    pub(super) repo: Option<RepoName>,
}

impl Target {
    /// `{prefix}/{name}[/{repo}]`, or `{login}/{repository}` of smart HTTP. `None` for a path without a user.
    pub(super) fn of(parameters: &[(String, String)], prefix: &Prefix) -> Result<Option<Self>, ApiError> {
        let get = |key: &str| parameters.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        let bad = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
        let user = match (get("prefix"), get("name"), get("login")) {
            (Some(prefix), Some(name), _) => {
                let prefix = prefix.parse().map_err(|error| bad(&error))?;
                GitUser { prefix, name: name.to_owned() }
            }
            (_, _, Some(login)) => GitUser::from_login(prefix, login)
                .ok_or_else(|| ApiError::bad_request(format!("a login here begins with `{prefix}-`")))?,
            _ => return Ok(None),
        };
        Login::try_from(&user).map_err(|error| bad(&error))?;
        let repo = match (get("repo"), get("repository")) {
            (Some(repo), _) => Some(repo.parse().map_err(|error| bad(&error))?),
            (None, Some(repository)) => {
                let repo = repository.strip_suffix(".git").unwrap_or(repository);
                Some(repo.parse().map_err(|error| bad(&error))?)
            }
            (None, None) => None,
        };
        Ok(Some(Self { user, repo }))
    }
}

/// The user that a path names, and a place among the requests about it.
pub(super) struct AtUser {
    pub(super) user: GitUser,
    pub(super) login: Login,
    pub(super) who: Identity,
    _place: Place,
}

/// The repository that a path names, and a place among the requests about its owner.
pub(super) struct AtRepo {
    pub(super) user: GitUser,
    pub(super) repo: RepoName,
    pub(super) who: Identity,
    pub(super) place: Place,
}

async fn enter(parts: &mut Parts, app: &Shared) -> Result<(Target, Identity, Place), ApiError> {
    let Parameters(parameters) = Parameters::from_request_parts(parts, app).await?;
    let target = Target::of(&parameters, &app.prefix)?
        .ok_or_else(|| ApiError::bad_request("the path names no user"))?;
    let who = parts.extensions.get::<Identity>().cloned().unwrap_or(Identity::Anonymous);
    // The control plane must not starve behind a busy user.
    let place =
        if who.is_system() { Place::default() } else { app.limits.enter(&target.user.to_string()).await? };
    Ok((target, who, place))
}

impl FromRequestParts<Shared> for AtUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let (Target { user, repo: _ }, who, place) = enter(parts, app).await?;
        let login = Login::try_from(&user).map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Self { user, login, who, _place: place })
    }
}

impl FromRequestParts<Shared> for AtRepo {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let (Target { user, repo }, who, place) = enter(parts, app).await?;
        let repo = repo.ok_or_else(|| ApiError::bad_request("the path names no repository"))?;
        Ok(Self { user, repo, who, place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(pairs: &[(&str, &str)]) -> Result<Option<Target>, ApiError> {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Target::of(&pairs, &"customer".parse().unwrap())
    }

    #[test]
    fn paths_name_users_and_repositories() {
        let found = target(&[("login", "customer-big-corp"), ("repository", "dev.git")]).unwrap().unwrap();
        assert_eq!((found.user.name.as_str(), found.repo.unwrap().as_str()), ("big-corp", "dev"));
        let found = target(&[("prefix", "other"), ("name", "al"), ("repo", "dev")]).unwrap().unwrap();
        assert_eq!(found.user.to_string(), "other-al");
        assert_eq!(target(&[("q", "x")]).unwrap(), None);
    }

    #[test]
    fn hostile_names_are_refused() {
        for bad in ["..", "a/b", "a/../bob", "", "AL", "-x", "a b", "a\n", "a%2fb"] {
            assert!(target(&[("prefix", "customer"), ("name", bad)]).is_err(), "name {bad:?}");
        }
        for bad in ["..", "a/b", ".git", "", "x.git", "a b", ".ssh", "../bob/dev"] {
            assert!(
                target(&[("prefix", "customer"), ("name", "al"), ("repo", bad)]).is_err(),
                "repo {bad:?}"
            );
        }
        for bad in ["other-al", "customer", "customer-", "customer--al", "..", "customer-a/../customer-b"] {
            assert!(target(&[("login", bad), ("repository", "dev.git")]).is_err(), "login {bad:?}");
        }
    }
}
