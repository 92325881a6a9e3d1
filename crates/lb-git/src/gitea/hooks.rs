//! Webhooks of repositories.

use http::Method;
use lb_vocab::{GitUser, RepoName};
use serde_json::json;

use super::Inner;
use super::api::{Ask, Failure};
use super::host::known;
use super::wire::HookBody;
use crate::error::HostError;
use crate::types::{Found, Hook, HookTarget};

impl Inner {
    /// See [`crate::GitHost::ensure_hook`].
    pub(super) async fn ensure_hook(
        &self,
        user: &GitUser,
        repo: &RepoName,
        target: &HookTarget,
    ) -> Result<(Hook, Found), HostError> {
        let login = known(user)?;
        let doing = format!("register a webhook on {login}/{repo}");
        let hooks = ["repos", login.as_str(), repo.as_str(), "hooks"];
        let registered: Vec<HookBody> = match self.api.list(&Ask::get(&hooks)).await {
            Ok(registered) => registered,
            Err(Failure::Absent) => return Err(self.missing(user, repo).await),
            Err(failure) => return Err(failure.host(&doing)),
        };
        let mut ours: Vec<HookBody> =
            registered.into_iter().filter(|hook| target.replaces(&hook.config.url)).collect();
        // The newest one: where an older one could not be removed, it was made to replace that.
        let right = ours.iter().filter(|hook| hook.is(target)).max_by_key(|hook| hook.id).map(|hook| hook.id);
        let found = if right.is_some() { Found::Standing } else { Found::Amiss };
        let kept = right.filter(|_| !target.anew).and_then(|id| {
            let at = ours.iter().position(|hook| hook.id == id)?;
            Some(ours.swap_remove(at))
        });
        let kept = match kept {
            Some(kept) => kept,
            // Another one and not this one changed: Gitea changes everything of a webhook but its secret. And before
            // the older ones go, so that a push meanwhile is told twice and not never.
            None => {
                let config =
                    json!({"url": target.url, "content_type": "json", "secret": target.secret.reveal()});
                let body = json!({"type": "gitea", "active": true, "events": ["push"], "config": config});
                let ask = Ask::new(Method::POST, &hooks).json(body);
                self.api.ask(ask).await.map_err(|failure| failure.host(&doing))?.object()?
            }
        };
        for other in ours {
            let id = other.id.to_string();
            let gone = self.api.ask(Ask::new(Method::DELETE, &[&hooks[..], &[&id]].concat())).await;
            gone.map(drop).or_else(absent_is_fine).map_err(|failure| failure.host(&doing))?;
        }
        Ok((kept.hook(), found))
    }
}

fn absent_is_fine(failure: Failure) -> Result<(), Failure> {
    match failure {
        Failure::Absent => Ok(()),
        Failure::Exists | Failure::Refused(_) | Failure::Denied(_) | Failure::Moved(_) | Failure::Host(_) => {
            Err(failure)
        }
    }
}
