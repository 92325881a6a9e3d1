//! The commit in which an entity last changed.

use anyhow::{Context, Result, bail};
use lb_http::contract::git_api::{CommitInfo, GitApi, TreeAnswer, TreeRequest};
use lb_project::entity_value;
use lb_vocab::{Blob, EntityKind, GitUser, Producer, RepoName, Tree};

use super::entity::Entity;

/// Commits that are looked at, at most.
const MAX_COMMITS: usize = 1000;
/// A file is read up to here, bytes.
const MAX_BYTES: u64 = 64 << 20;

/// A producer's repositories at git-api.
#[derive(Clone, Copy)]
pub(super) struct Repositories<'a> {
    /// The client.
    pub(super) git: &'a GitApi,
    /// The git user.
    pub(super) user: &'a GitUser,
    /// Whose they are.
    pub(super) who: &'a Producer,
}

impl Repositories<'_> {
    /// Files at a commit or reference.
    pub(super) async fn tree(&self, repo: &str, reference: &str, globs: &[&str]) -> Result<Tree> {
        let request = TreeRequest {
            reference: reference.to_owned(),
            globs: globs.iter().map(|glob| (*glob).to_owned()).collect(),
            max_bytes: MAX_BYTES,
        };
        let repo: RepoName = repo.parse()?;
        match self.git.tree(self.user, &repo, &request).await? {
            TreeAnswer::At(_, tree) => Ok(tree),
            TreeAnswer::ReferenceMissing { .. } => bail!("{}/{repo} has no `{reference}`", self.user),
            TreeAnswer::RepositoryMissing | TreeAnswer::UserMissing => {
                bail!("there is no repository {}/{repo}", self.user)
            }
        }
    }

    async fn value(&self, entity: &Entity, commit: &str) -> Result<Option<String>> {
        let tree = self.tree(entity.repo, commit, &[&entity.path]).await?;
        let Some(Blob::File(bytes)) = tree.get(&entity.path) else { return Ok(None) };
        let text = String::from_utf8_lossy(bytes);
        Ok(entity_value(&text, self.who, entity.place.kind, &entity.id))
    }
}

/// The newest commit in whose parent the entity's value is another one, along first parents. `None` where it is
/// older than the last thousand commits of its file.
pub(super) async fn last_change(
    repositories: &Repositories<'_>,
    entity: &Entity,
) -> Result<Option<CommitInfo>> {
    let repo: RepoName = entity.repo.parse()?;
    // Any file of its directory makes another function of it.
    let (path, limit) = match (entity.place.kind == EntityKind::Function, entity.path.rsplit_once('/')) {
        (true, Some((directory, _))) => (directory, 1),
        (true | false, _) => (entity.path.as_str(), MAX_COMMITS),
    };
    let commits = repositories
        .git
        .history(repositories.user, &repo, &entity.commit, path, limit)
        .await
        .with_context(|| format!("read the history of {}/{path}", entity.repo))?;
    if limit == 1 {
        return Ok(commits.into_iter().next());
    }
    let complete = commits.len() < limit;
    let value = repositories.value(entity, &entity.commit).await?;
    let oldest = commits.last().cloned();
    for commit in commits {
        let before = match commit.parents.first() {
            Some(parent) => repositories.value(entity, parent.as_str()).await?,
            None => None,
        };
        if before != value {
            return Ok(Some(commit));
        }
    }
    if complete && entity.place.kind == EntityKind::Project {
        // Of a project the value is `disabled`: one that never was is as its first commit made it.
        return Ok(oldest);
    }
    if complete {
        bail!(
            "{} has no commit with {} \"{}\"",
            entity.place.file,
            entity.place.kind.words(),
            entity.place.name
        );
    }
    Ok(None)
}
