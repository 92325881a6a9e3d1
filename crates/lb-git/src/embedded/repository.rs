//! One repository on disk, as requests meet it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lb_vocab::{GitUser, RepoName};
use tokio::sync::{Mutex, Semaphore};

use crate::names::Login;

/// Fetches from one owner's repositories at a time.
const FETCHES: usize = 8;
/// Pushes to one owner's repositories that arrive at a time.
const ARRIVING: usize = 8;
/// Pushes to one owner's repositories that are taken in at a time.
const TAKING: usize = 2;

/// A repository that exists, with what its requests share.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Whose.
    pub(super) user: GitUser,
    /// The same, as directories have it.
    pub(super) login: Login,
    /// Its name.
    pub(super) repo: RepoName,
    /// The bare repository.
    pub(super) directory: PathBuf,
    /// What its requests share.
    pub(super) live: Arc<Live>,
    /// What its owner's requests share.
    pub(super) share: Arc<Share>,
}

impl Target {
    /// `customer-al/dev`
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.login, self.repo)
    }
}

/// What one owner's repositories may take of what all share: slow or hostile clients of one do not keep others out.
#[derive(Debug)]
pub(super) struct Share {
    /// Turns of fetches.
    pub(super) fetches: Arc<Semaphore>,
    /// Turns of pushes that arrive.
    pub(super) arriving: Arc<Semaphore>,
    /// Turns of pushes that are taken in.
    pub(super) taking: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Self {
        let gate = |turns| Arc::new(Semaphore::new(turns));
        Self { fetches: gate(FETCHES), arriving: gate(ARRIVING), taking: gate(TAKING) }
    }
}

/// What the requests of one repository share.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Held while references move and until the journal knows; with it, what the repository takes up, once known.
    pub(super) pushing: Mutex<Option<Usage>>,
    maintained: AtomicBool,
    /// Held by maintenance while git works, and by whoever removes what a killed git left: each takes the other's
    /// files for leftovers.
    pub(super) tidying: Mutex<()>,
}

impl Live {
    /// Whether the caller is the only one that maintains it from now on; ends with [`Live::maintained`].
    pub(super) fn maintain(&self) -> bool {
        !self.maintained.swap(true, Ordering::SeqCst)
    }

    /// Ends maintenance.
    pub(super) fn maintained(&self) {
        self.maintained.store(false, Ordering::SeqCst);
    }
}

/// What a repository takes up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes of all objects as they are stored.
    pub(super) bytes: u64,
    /// Objects that are files of their own.
    pub(super) loose: usize,
    /// Packs.
    pub(super) packs: usize,
}

impl Usage {
    /// Looks at the sizes of a repository's files.
    pub(super) fn of(repository: &Path) -> io::Result<Self> {
        let mut usage = Self::default();
        usage.add(&repository.join("objects"))?;
        Ok(usage)
    }

    fn add(&mut self, directory: &Path) -> io::Result<()> {
        let pack = directory.file_name().is_some_and(|name| name == "pack");
        let fanout = directory.file_name().is_some_and(|name| name.len() == 2);
        for entry in gone_is_none(fs::read_dir(directory))?.into_iter().flatten() {
            let entry = entry?;
            let Some(metadata) = gone_is_none(entry.metadata())? else { continue };
            if metadata.is_dir() {
                self.add(&entry.path())?;
                continue;
            }
            self.bytes += metadata.len();
            self.loose += usize::from(fanout);
            self.packs +=
                usize::from(pack && entry.path().extension().is_some_and(|extension| extension == "pack"));
        }
        Ok(())
    }
}

/// Removes what a git that was killed leaves behind: lock files, which would refuse every later push, packs and
/// quarantines that were never finished. Nothing else may be working on the repository.
pub(super) fn repair(repository: &Path) -> io::Result<()> {
    for name in ["HEAD.lock", "packed-refs.lock", "config.lock", "gc.pid", "gc.pid.lock", "shallow.lock"] {
        gone_is_none(fs::remove_file(repository.join(name)))?;
    }
    remove_locks(&repository.join("refs"))?;
    let leftover = |name: &str| name.starts_with("tmp_") || name.starts_with("incoming-");
    for directory in [repository.join("objects"), repository.join("objects/pack")] {
        for entry in gone_is_none(fs::read_dir(&directory))?.into_iter().flatten() {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(leftover) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

fn remove_locks(directory: &Path) -> io::Result<()> {
    for entry in gone_is_none(fs::read_dir(directory))?.into_iter().flatten() {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_locks(&entry.path())?;
        } else if entry.path().extension().is_some_and(|extension| extension == "lock") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn gone_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
