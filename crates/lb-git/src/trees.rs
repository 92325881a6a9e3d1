//! Answers that were read already: the files at a commit never change.
//!
//! A push is read by whoever previews it and by the Actualizer, and the files of the commit before it were read when
//! that one was pushed; each reading is a process (at Gitea: a fetch). Where a reference leads is asked anew each time:
//! only what a commit holds is remembered. Whoever may read a repository may read its commits by id, also those that
//! no reference leads to any more, so that remembering them shows nobody anything new.

use lb_vocab::{Blob, CommitId, GitUser, RepoName, Tree};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::HostError;
use crate::globs::Globs;
use crate::types::TreeAnswer;

/// All that is remembered, bytes: what some hundred producers pushed last.
const BYTES: u64 = 32 << 20;
/// What an answer takes at least, bytes; with its key.
const OVERHEAD: u64 = 512;

/// Remembered answers.
#[derive(Debug)]
pub(crate) struct Trees(Cache<Key, Known, Bytes>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    user: GitUser,
    repo: RepoName,
    id: CommitId,
    globs: Vec<String>,
    max_bytes: u64,
}

#[derive(Clone, Debug)]
struct Known {
    commit: CommitId,
    tree: Tree,
}

#[derive(Clone, Debug)]
struct Bytes;

impl Weighter<Key, Known> for Bytes {
    fn weight(&self, key: &Key, known: &Known) -> u64 {
        let content = |blob: &Blob| match blob {
            Blob::File(content) => content.len(),
            Blob::TooLarge { .. } | Blob::Symlink | Blob::Submodule => 0,
        };
        let files = known.tree.files.iter().map(|(path, blob)| path.as_str().len() + content(blob) + 64);
        let globs = key.globs.iter().map(|glob| glob.len() + 24);
        OVERHEAD + files.chain(globs).map(|bytes| bytes as u64).sum::<u64>()
    }
}

impl Default for Trees {
    fn default() -> Self {
        Self(Cache::with_weighter(1000, BYTES, Bytes))
    }
}

impl Trees {
    /// The answer for a commit (or an annotated tag), read where nobody has read it. Who asks while it is being read waits
    /// for that.
    pub(crate) async fn at(
        &self,
        (user, repo): (&GitUser, &RepoName),
        id: &CommitId,
        globs: &Globs,
        max_bytes: u64,
        read: impl Future<Output = Result<(CommitId, Tree), HostError>>,
    ) -> Result<TreeAnswer, HostError> {
        let globs = globs.patterns().to_vec();
        let key = Key { user: user.clone(), repo: repo.clone(), id: id.clone(), globs, max_bytes };
        let read = async { read.await.map(|(commit, tree)| Known { commit, tree }) };
        let Known { commit, tree } = self.0.get_or_insert_async(&key, read).await?;
        Ok(TreeAnswer::Known { commit, tree })
    }

    /// Forgets what was read of a repository that is gone.
    pub(crate) fn forget(&self, gone: impl Fn(&GitUser, &RepoName) -> bool) {
        self.0.retain(|key, _| !gone(&key.user, &key.repo));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Kind;

    fn commit(digit: u8) -> CommitId {
        format!("{digit:040x}").parse().unwrap()
    }

    fn user() -> GitUser {
        GitUser::of("customer".parse().unwrap(), &"al".parse().unwrap())
    }

    fn tree(bytes: usize) -> Tree {
        Tree { files: [("a".parse().unwrap(), Blob::File(vec![0; bytes]))].into() }
    }

    #[tokio::test]
    async fn a_commit_is_read_once_and_each_question_is_another() {
        let (trees, dev, reads) = (Trees::default(), RepoName::dev(), AtomicUsize::new(0));
        let ask = async |id: u8, globs: &[&str], max_bytes| {
            let read = async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok((commit(id), tree(10)))
            };
            let globs = Globs::new(globs).unwrap();
            trees.at((&user(), &dev), &commit(id), &globs, max_bytes, read).await.unwrap()
        };
        let expected = TreeAnswer::Known { commit: commit(1), tree: tree(10) };
        let (one, other) = tokio::join!(ask(1, &["a"], 9), ask(1, &["a"], 9));
        assert_eq!((&one, &other, reads.load(Ordering::Relaxed)), (&expected, &expected, 1));
        for (n, (id, globs, max_bytes)) in
            [(2, ["a"], 9), (1, ["b"], 9), (1, ["a"], 8)].into_iter().enumerate()
        {
            ask(id, &globs, max_bytes).await;
            assert_eq!(reads.load(Ordering::Relaxed), 2 + n);
        }
        trees.forget(|_, repo| *repo == dev);
        ask(1, &["a"], 9).await;
        assert_eq!(reads.load(Ordering::Relaxed), 5);
    }

    #[tokio::test]
    async fn a_failure_is_not_remembered_and_what_is_remembered_is_bounded() {
        let (trees, dev, globs) = (Trees::default(), RepoName::dev(), Globs::new(&["a"]).unwrap());
        let fails = async { Err(HostError::not_found(Kind::Commit, commit(9))) };
        trees.at((&user(), &dev), &commit(9), &globs, 1, fails).await.unwrap_err();
        for id in 1..=255 {
            let read = async { Ok((commit(id), tree(256 << 10))) };
            trees.at((&user(), &dev), &commit(id), &globs, 1, read).await.unwrap();
        }
        assert!(trees.0.weight() <= BYTES && !trees.0.is_empty(), "{}", trees.0.weight());
    }
}
