//! Callers that are git users: git-api knows whether their credentials are right, and what they may do with a producer's
//! repositories. For the roles that keep nothing of that themselves.

use axum::http::request::Parts;
use futures::future::BoxFuture;
use http::StatusCode;
use lb_http::auth::{Accesses, Guard, Identity, Passwords, Rule};
use lb_http::contract::ClientError;
use lb_http::contract::git_api::{GitApi, Permission};
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix, ProducerName, RepoName, Secret};

use crate::owner::{is_known, owns};

/// The producer that a request's path names, by the path's parameters.
pub(crate) type Named = fn(&[(String, String)]) -> Option<ProducerName>;

/// Decides by name, and by what git-api says that a user may do with a producer's repositories.
pub(crate) struct ProducerGuard {
    /// Prefix of the git users that are producers.
    pub(crate) prefix: Prefix,
    /// What users may do.
    pub(crate) accesses: Accesses,
    /// Which producer a request is about.
    pub(crate) named: Named,
}

impl ProducerGuard {
    async fn decide(
        &self,
        rule: Rule,
        who: &Identity,
        parameters: &[(String, String)],
    ) -> Result<bool, ApiError> {
        let needs = match rule {
            Rule::Public => return Ok(true),
            Rule::Known => return Ok(is_known(who)),
            Rule::Owner => Permission::Admin,
            Rule::Read => Permission::Read,
            Rule::System | Rule::User | Rule::Write | Rule::Admin | Rule::Git => return Ok(false),
        };
        let Some(name) = (self.named)(parameters) else { return Ok(false) };
        self.may(who, &name, needs).await
    }

    /// Whether somebody who is not the platform itself may do that much with a producer.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    pub(crate) async fn may(
        &self,
        who: &Identity,
        name: &ProducerName,
        needs: Permission,
    ) -> Result<bool, ApiError> {
        let owner = GitUser::of(self.prefix.clone(), name);
        if owns(who, &owner, &self.prefix) {
            return Ok(who.reach() >= needs);
        }
        // Reading concerns `dev`, where the project is; what is the owner's concerns all repositories.
        let every = RepoName::of_every_producer;
        let concerned = if needs == Permission::Read { vec![RepoName::dev()] } else { every().to_vec() };
        for repo in concerned {
            if !self.accesses.allow(who, &owner, &repo, needs).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Guard for ProducerGuard {
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        _: &'a Parts,
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        Box::pin(self.decide(rule, who, parameters))
    }
}

/// Git users with their tokens of the git host: git-api knows whether they are right.
pub(crate) struct GitPasswords(pub(crate) GitApi);

impl Passwords for GitPasswords {
    fn check<'a>(
        &'a self,
        login: &'a str,
        password: &'a Secret,
    ) -> BoxFuture<'a, Result<Option<Permission>, ApiError>> {
        Box::pin(async move {
            let who = self.0.authenticate(login, password).await.map_err(|error| upstream(&error))?;
            // A token in the password's place may be anybody's: it must be this user's.
            Ok(who.filter(|who| who.kind == "user" && who.name == login).map(|who| who.reach))
        })
    }
}

/// What a caller is told when git-api did not answer as it should: never a 404, never an empty list.
pub(crate) fn upstream(error: &ClientError) -> ApiError {
    tracing::warn!(%error, source = ?std::error::Error::source(error), "git-api failed");
    let (status, retry) = match error {
        ClientError::Unreachable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Some(5)),
        ClientError::Refused { status: 503, retry_after, .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, Some(retry_after.map_or(5, |after| after.as_secs())))
        }
        ClientError::Refused { .. }
        | ClientError::NotFound { .. }
        | ClientError::Malformed { .. }
        | ClientError::TooLarge { .. } => (StatusCode::BAD_GATEWAY, None),
    };
    let answer = ApiError::new(status, "GIT_API_FAILED", format!("git-api failed ({})", error.name()));
    match retry {
        Some(seconds) => answer.retry_after(seconds),
        None => answer,
    }
}
