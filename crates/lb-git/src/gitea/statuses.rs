//! What is said of a commit, beside it.

use http::Method;
use lb_vocab::{CommitId, GitUser, RepoName};
use serde_json::json;
use url::Url;

use super::api::{Ask, Failure};
use super::host::known;
use super::{Inner, Settings};
use crate::error::{HostError, Kind};
use crate::names::Login;
use crate::types::CommitStatus;

impl Inner {
    /// See [`crate::GitHost::set_commit_status`].
    pub(super) async fn set_commit_status(
        &self,
        user: &GitUser,
        repo: &RepoName,
        commit: &CommitId,
        status: &CommitStatus,
    ) -> Result<(), HostError> {
        let login = known(user)?;
        let doing = format!("say something of commit {commit} of {login}/{repo}");
        let (owner, name, id) = (login.as_str(), repo.as_str(), commit.as_str());
        // Asked first: to a status of a commit that it does not have Gitea answers 500, as if it were broken.
        let exists = Ask::get(&["repos", owner, name, "git", "commits", id]);
        let exists =
            ["stat", "verification", "files"].into_iter().fold(exists, |ask, part| ask.query(part, "false"));
        match self.api.ask(exists).await {
            Ok(_) => {}
            Err(Failure::Absent) => {
                return Err(match self.repository_body(user, repo).await? {
                    Some(_) => HostError::not_found(Kind::Commit, commit),
                    None => self.missing(user, repo).await,
                });
            }
            Err(failure) => return Err(failure.host(&doing)),
        }
        let link = link(&self.settings, &login, repo, commit, status);
        let body = json!({
            "context": status.context, "state": status.state.as_str(), "description": status.description,
            "target_url": link.as_str(),
        });
        let ask = Ask::new(Method::POST, &["repos", owner, name, "statuses", id]).json(body);
        self.api.ask(ask).await.map(drop).map_err(|failure| failure.host(&doing))
    }
}

/// Where people read what a status is about.
fn link(
    settings: &Settings,
    login: &Login,
    repo: &RepoName,
    commit: &CommitId,
    status: &CommitStatus,
) -> Url {
    let mut link = settings.for_people();
    if let Ok(mut segments) = link.path_segments_mut() {
        segments.pop_if_empty().push(login.as_str()).push(repo.as_str());
        match &status.place {
            Some((path, _)) => {
                segments.extend(["src", "commit", commit.as_str()]).extend(path.as_str().split('/'))
            }
            None => segments.extend(["commit", commit.as_str()]),
        };
    }
    if let Some((_, line)) = &status.place {
        link.set_fragment(Some(&format!("L{line}")));
    }
    link
}

#[cfg(test)]
mod tests {
    use lb_vocab::Secret;

    use super::*;
    use crate::types::CommitState;

    #[test]
    fn a_link_leads_to_the_line_or_to_the_commit_at_the_public_address() {
        let secret = Secret::new(String::new());
        let of = |url: &str, public: Option<&str>, place: Option<(&str, u32)>| {
            let mut settings =
                Settings::new(url.parse().unwrap(), secret.clone(), "customer".parse().unwrap(), "/tmp");
            settings.public_url = public.map(|url| url.parse().unwrap());
            let status = CommitStatus {
                context: "lunchbadger/dev".into(),
                state: CommitState::Failure,
                description: String::new(),
                place: place.map(|(path, line)| (path.parse().unwrap(), line)),
            };
            let commit = "1".repeat(40).parse().unwrap();
            let link =
                link(&settings, &"customer-al".parse().unwrap(), &"dev".parse().unwrap(), &commit, &status);
            link.to_string().replace(&"1".repeat(40), "SHA")
        };
        assert_eq!(of("http://gitea:3000", None, None), "http://gitea:3000/customer-al/dev/commit/SHA");
        assert_eq!(
            of("http://gitea:3000", Some("https://git.example.com/git/"), Some(("a b/x#y.json", 7))),
            "https://git.example.com/git/customer-al/dev/src/commit/SHA/a%20b/x%23y.json#L7"
        );
    }
}
