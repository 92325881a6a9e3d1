//! Whether a push came from outside. The field stays on the wire for older clients; a committer can be forged, so
//! nothing of ours is decided by it.

use lb_http::contract::git_api::{CommitInfo, GitApi};
use lb_vocab::{CommitId, GitUser, RepoName};

/// Committers of the system itself.
const SYSTEM: [&str; 2] = ["sls-bot@lunchbadger.com", "support@lunchbadger.com"];
/// Commits of one push that are looked at; a longer push is external.
const COMMITS: usize = 100;

/// True unless every commit of the push was committed by the system. True, too, where that cannot be told.
pub(super) async fn is_external(
    git: &GitApi,
    user: &GitUser,
    repo: &RepoName,
    before: Option<&CommitId>,
    after: Option<&CommitId>,
) -> bool {
    let Some(after) = after else { return true };
    match git.history(user, repo, after.as_str(), "", COMMITS).await {
        Ok(commits) => !all_ours(&commits, before),
        Err(error) => {
            tracing::warn!(%error, "cannot read the commits of a push: it counts as external");
            true
        }
    }
}

/// Whether the commits down to `before` (or to the first one of all) are ours. A merge has commits that a
/// first-parent walk does not show.
fn all_ours(commits: &[CommitInfo], before: Option<&CommitId>) -> bool {
    for commit in commits {
        if Some(&commit.id) == before {
            return true;
        }
        if commit.parents.len() > 1 || !SYSTEM.contains(&commit.committer_email.as_str()) {
            return false;
        }
        if commit.parents.is_empty() {
            return before.is_none();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use lb_vocab::Timestamp;

    use super::*;

    fn id(n: u8) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn commit(n: u8, parents: &[u8], committer: &str) -> CommitInfo {
        CommitInfo {
            id: id(n),
            author_name: "x".into(),
            author_email: "x".into(),
            committer_email: committer.into(),
            time: Timestamp(0),
            subject: "x".into(),
            parents: parents.iter().map(|n| id(*n)).collect(),
        }
    }

    #[test]
    fn ours_are_pushes_of_which_every_commit_is_ours() {
        let [bot, support] = SYSTEM;
        let history = |top: &str| {
            vec![commit(4, &[3], top), commit(3, &[2], support), commit(2, &[1], "al@x"), commit(1, &[], bot)]
        };
        assert!(all_ours(&history(bot), Some(&id(2))));
        assert!(!all_ours(&history("al@x"), Some(&id(2))));
        assert!(!all_ours(&history(bot), Some(&id(1))), "one of them is al's");
        assert!(!all_ours(&history(bot), Some(&id(9))), "forced: what was before is not below");
        assert!(!all_ours(&history(bot), None));
        assert!(all_ours(&[commit(2, &[1], bot), commit(1, &[], support)], None), "the very first push");
        assert!(!all_ours(&[commit(3, &[2, 9], bot)], Some(&id(2))), "a merge brings unseen commits");
        assert!(!all_ours(&[], None));
    }
}
