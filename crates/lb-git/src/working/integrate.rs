//! What somebody else pushed, and our own unpushed saves on top of it.
//!
//! A save is made anew by what it changed, file by file. Where both sides changed a file, git merges its text; where that
//! leaves a conflict, or no JSON where there was some, the remote's file stands.

use std::path::Path;
use std::time::Duration;

use lb_vocab::{CommitId, Timestamp};

use super::commit::{Local, Moved, Parts};
use super::listing::Leaf;
use super::object::{Object, ObjectId, ObjectKind};
use super::stage::write_directories;
use super::{State, WorkingCopy, WorkingError};
use crate::bare::objects::Objects;
use crate::process::{Git, run};

/// A larger file is not merged, bytes.
const MAX_MERGED: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of a commit that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integrated {
    /// It is known: nothing changed, or a push of our own arrived of which we had not heard.
    Ours,
    /// Somebody else's: the files are what the remote has, with our saves on top.
    Theirs {
        /// Paths, printable, where the remote's content stands instead of a save's.
        lost: Vec<String>,
    },
}

/// Saves on top of what is at the remote, not taken over yet.
pub(super) struct Rebased {
    pub(super) state: State,
    pub(super) objects: Vec<Object>,
    pub(super) lost: Vec<String>,
}

impl WorkingCopy {
    /// What the clone would be with its unpushed saves on top of `commit`.
    pub(super) async fn rebase(&self, commit: &CommitId, now: Timestamp) -> Result<Rebased, WorkingError> {
        let base = self.load(commit, Some(&self.state)).await?;
        let mut rebased = Rebased { state: base.clone(), objects: Vec::new(), lost: Vec::new() };
        let mut contents = Contents { git: &self.git, repository: &self.repository, merged: Vec::new() };
        for local in &self.state.local {
            self.replay(local, &mut rebased, &mut contents, now).await?;
        }
        if !rebased.state.local.is_empty() {
            let head = rebased.state.head.map(ObjectId::commit).transpose()?;
            // The files' content, too: from objects that are written by then.
            for object in &rebased.objects {
                object.write(&self.repository).map_err(WorkingError::io("write an object"))?;
            }
            let local = std::mem::take(&mut rebased.state.local);
            if let Some(head) = head {
                let loaded = self.load(&head, Some(&base)).await?;
                rebased.state = State { local, upstream: rebased.state.upstream, ..loaded };
            }
        }
        Ok(rebased)
    }

    async fn replay(
        &self,
        local: &Local,
        rebased: &mut Rebased,
        contents: &mut Contents<'_>,
        now: Timestamp,
    ) -> Result<(), WorkingError> {
        let Rebased { state, objects, lost } = rebased;
        let mut root = state.root.clone();
        let mut changes = Vec::new();
        for Moved { path, before, after } in &local.changes {
            let theirs = root.leaf(path);
            let wanted = if theirs == *before {
                *after
            } else if theirs == *after {
                continue;
            } else {
                match contents.merge(*before, *after, theirs, path).await? {
                    Some(merged) => Some(merged),
                    None => {
                        lost.push(crate::process::printable(&String::from_utf8_lossy(path)));
                        continue;
                    }
                }
            };
            match root.set(path, wanted) {
                Ok(()) => changes.push(Moved { path: path.clone(), before: theirs, after: wanted }),
                Err(_obstacle) => lost.push(crate::process::printable(&String::from_utf8_lossy(path))),
            }
        }
        objects.append(&mut contents.merged);
        if changes.is_empty() {
            return Ok(());
        }
        let tree = write_directories(&mut root, objects)?;
        let parts = Parts {
            tree,
            parent: state.head,
            author: &local.author,
            written: local.written,
            committer: &self.committer,
            now,
            message: &local.message,
        };
        let object = parts.object()?;
        (state.root, state.head) = (root, Some(object.id));
        let id = object.id;
        objects.push(object);
        state.local.push(std::sync::Arc::new(Local { id, changes, journaled: 0, ..local.clone() }));
        Ok(())
    }
}

/// Reads and merges contents.
struct Contents<'a> {
    git: &'a Git,
    repository: &'a Path,
    /// Contents that merges made.
    merged: Vec<Object>,
}

impl Contents<'_> {
    /// The file that has both changes; `None`: they contradict each other.
    async fn merge(
        &mut self,
        before: Option<Leaf>,
        ours: Option<Leaf>,
        theirs: Option<Leaf>,
        path: &[u8],
    ) -> Result<Option<Leaf>, WorkingError> {
        let (Some(before), Some(ours), Some(theirs)) = (before, ours, theirs) else { return Ok(None) };
        if ![before, ours, theirs].iter().all(|leaf| leaf.is_file()) {
            return Ok(None);
        }
        let doing = "merge two changes of a file";
        let ids = [ours.id, before.id, theirs.id].map(|id| id.to_string());
        let local = || WorkingError::local(doing);
        let mut objects = Objects::open(self.git, self.repository).map_err(local())?;
        let infos = objects.info(&ids).await.map_err(local())?;
        if !infos.iter().all(|info| info.as_ref().is_some_and(|info| info.size <= MAX_MERGED as u64)) {
            return Ok(None);
        }
        let texts = objects.contents(&ids).await.map_err(local())?;
        let Some(merged) = self.text(&texts).await? else { return Ok(None) };
        let json = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        if path.ends_with(b".json") && json(&texts[0]) && json(&texts[2]) && !json(&merged) {
            return Ok(None);
        }
        let object = Object::new(ObjectKind::Blob, &merged).map_err(WorkingError::io(doing))?;
        // Later saves of the same file are merged with it.
        object.write(self.repository).map_err(WorkingError::io(doing))?;
        let leaf =
            Leaf { mode: if theirs.mode == before.mode { ours.mode } else { theirs.mode }, id: object.id };
        self.merged.push(object);
        Ok(Some(leaf))
    }

    /// Ours, what both come from, and theirs, merged by git.
    async fn text(&self, texts: &[Vec<u8>]) -> Result<Option<Vec<u8>>, WorkingError> {
        let doing = || WorkingError::io("merge two changes of a file");
        let directory = tempfile::tempdir().map_err(doing())?;
        for (name, text) in ["ours", "base", "theirs"].iter().zip(texts) {
            std::fs::write(directory.path().join(name), text).map_err(doing())?;
        }
        let mut command = self.git.command(directory.path());
        command.args(["merge-file", "-p", "--quiet", "ours", "base", "theirs"]);
        // A conflict and a binary file end with a failure.
        Ok(run(command, MAX_MERGED * 3, PATIENCE).await.ok())
    }
}
