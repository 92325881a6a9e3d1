//! Who may do what with which producer.

use axum::http::request::Parts;
use futures::future::BoxFuture;
use lb_http::auth::{Accesses, Guard, Identity, Rule};
use lb_http::contract::git_api::Permission;
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix, ProducerName, RepoName};

use crate::owner::{is_known, owns};

/// Decides by name, and by what git-api says that a user may do with a producer's repositories.
pub(super) struct ProducerGuard {
    pub(super) prefix: Prefix,
    pub(super) accesses: Accesses,
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
        let name =
            parameters.iter().find(|(key, _)| key == "name").map(|(_, name)| name.parse::<ProducerName>());
        let Some(Ok(name)) = name else { return Ok(false) };
        let owner = GitUser::of(self.prefix.clone(), &name);
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
