//! Who may do what with which user and repository.

use std::sync::Arc;

use axum::http::request::Parts;
use futures::future::BoxFuture;
use http::Method;
use lb_desired::build::names::{SLS_API, WORKSPACE};
use lb_git::{GitHost, Login, Permission, Service};
use lb_http::auth::{Guard, Identity, Rule};
use lb_http::error::ApiError;
use lb_vocab::{GitUser, Prefix, RepoName};

use super::target::Target;
use super::{errors, wire};
use crate::owner::{is_known, owns};

/// Decides by what the git host says about permissions.
pub(super) struct HostGuard {
    pub(super) host: Arc<dyn GitHost>,
    pub(super) prefix: Prefix,
}

impl HostGuard {
    async fn decide(
        &self,
        rule: Rule,
        who: &Identity,
        request: &Parts,
        parameters: &[(String, String)],
    ) -> Result<bool, ApiError> {
        match rule {
            Rule::Public => return Ok(true),
            Rule::System => return Ok(who.is_system()),
            Rule::Known => return Ok(is_known(who)),
            Rule::Owner | Rule::User | Rule::Read | Rule::Write | Rule::Admin | Rule::Git => {}
        }
        let Some(Target { user, repo }) = Target::of(parameters, &self.prefix)? else { return Ok(false) };
        // Credentials that are good for reading alone change nothing of a user, either.
        let reach = wire::to_host(who.reach());
        let reaches =
            reach >= if request.method == Method::GET { Permission::Read } else { Permission::Admin };
        let needs = match rule {
            Rule::Owner if owns(who, &user, &self.prefix) => return Ok(reaches),
            Rule::User => {
                let itself = matches!(who, Identity::User { .. }) && who.belongs_to(&user, &self.prefix);
                return Ok(itself && reaches);
            }
            Rule::Read => Permission::Read,
            Rule::Write => Permission::Write,
            Rule::Owner | Rule::Admin => Permission::Admin,
            Rule::Git => service(request)?.needs(),
            Rule::Public | Rule::System | Rule::Known => return Ok(false),
        };
        if reach < needs {
            return Ok(false);
        }
        // What concerns all of a user concerns each of its repositories.
        for repo in repo.map_or_else(|| RepoName::of_every_producer().to_vec(), |repo| vec![repo]) {
            if self.permission(who, &user, &repo).await?.is_none_or(|has| has < needs) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn permission(
        &self,
        who: &Identity,
        user: &GitUser,
        repo: &RepoName,
    ) -> Result<Option<Permission>, ApiError> {
        match who {
            Identity::Anonymous => Ok(None),
            Identity::System { .. } | Identity::Operator => Ok(Some(Permission::Admin)),
            Identity::User { login, reach: _ } => {
                let Ok(login) = login.parse::<Login>() else { return Ok(None) };
                self.host.permission(&login, user, repo).await.map_err(errors::api)
            }
            Identity::Pod { producer: _, component } => {
                let own = who.belongs_to(user, &self.prefix);
                Ok(own.then(|| of_pod(component, repo)).flatten())
            }
        }
    }
}

/// A pod writes the one repository that it edits, reads its producer's other one, and that is all. Gateways have no
/// business with git.
fn of_pod(component: &str, repo: &RepoName) -> Option<Permission> {
    match (component, repo.as_str()) {
        (WORKSPACE, "dev") | (SLS_API, "functions") => Some(Permission::Write),
        (WORKSPACE, "functions") | (SLS_API, "dev") => Some(Permission::Read),
        _ => None,
    }
}

/// The service that a request of smart HTTP is about: in its query, or the end of its path.
pub(super) fn service(request: &Parts) -> Result<Service, ApiError> {
    let path = request.uri.path();
    let named = if path.ends_with("/info/refs") {
        let query = request.uri.query().unwrap_or_default();
        query.split('&').find_map(|pair| pair.strip_prefix("service="))
    } else {
        path.rsplit('/').next()
    };
    let named =
        named.ok_or_else(|| ApiError::bad_request("only smart HTTP is served: `?service=` is missing"))?;
    named.parse().map_err(|error: lb_vocab::TextError| ApiError::bad_request(error.to_string()))
}

impl Guard for HostGuard {
    fn allows<'a>(
        &'a self,
        rule: Rule,
        who: &'a Identity,
        request: &'a Parts,
        parameters: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<bool, ApiError>> {
        Box::pin(self.decide(rule, who, request, parameters))
    }
}
