//! Opening a data directory, and what a crash may have left to do there.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::{Arc, Mutex};

use lb_vocab::{Clock, GitUser};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::records::Store;
use super::repository::{Target, repair};
use super::{Gates, Inner, Settings, Shared};
use crate::error::HostError;
use crate::files::{self, blocking};
use crate::journal::Journal;
use crate::process::Git;

/// The only configuration that git sees. Objects are checked as they arrive, everything that a push was told is on
/// disk, big files are never held in memory, and nothing runs that we did not start.
///
/// `fsck`: mistakes in commits and trees that old tools made and that harm nobody are let through, as the large hosts
/// do; the histories of existing producers have them.
const CONFIGURATION: &str = "\
[safe]
	directory = *
[init]
	defaultBranch = master
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	logAllRefUpdates = false
	fsync = committed,reference
	fsyncMethod = batch
	bigFileThreshold = 4m
	deltaBaseCacheLimit = 32m
[receive]
	fsckObjects = true
	autogc = false
	denyDeleteCurrent = ignore
	denyNonFastForwards = false
	advertisePushOptions = false
[receive \"fsck\"]
	zeroPaddedFilemode = ignore
	missingSpaceBeforeDate = ignore
	badTimezone = ignore
	missingEmail = ignore
[transfer]
	advertiseSID = false
[uploadpack]
	allowFilter = true
[gc]
	auto = 0
	autoDetach = false
[maintenance]
	auto = false
[pack]
	threads = 1
	windowMemory = 64m
	deltaCacheSize = 32m
[protocol]
	allow = never
";

impl Inner {
    /// Everything that [`super::Embedded::open`] does.
    pub(super) async fn open(settings: Settings, clock: Clock) -> Result<Self, HostError> {
        let directory = settings.directory.clone();
        let lock = blocking(move || take(&directory)).await?;
        // git runs in directories of repositories, from where a relative path leads elsewhere.
        let settings = Settings {
            directory: fs::canonicalize(&settings.directory)
                .map_err(HostError::io("find the data directory"))?,
            ..settings
        };
        let git = Git::new(&settings.git, &settings.directory.join("home"));
        git.check().await?;
        let (directory, keep) = (settings.directory.clone(), settings.keep_changes);
        let (store, journal) = blocking(move || {
            empty(&directory.join("tmp"))?;
            Ok((Store::open(&directory)?, Journal::open(&directory.join("journal"), keep)?))
        })
        .await?;
        let inner = Self {
            settings,
            clock,
            git,
            store,
            journal: Arc::new(journal),
            shared: Mutex::new(Shared::default()),
            lagging: Mutex::new(BTreeSet::new()),
            gates: Gates::default(),
            tasks: TaskTracker::new(),
            cancelled: CancellationToken::new(),
            _lock: lock,
        };
        inner.recover().await?;
        Ok(inner)
    }

    /// Brings the journal up to what is on disk: a crash may have come between the two.
    async fn recover(&self) -> Result<(), HostError> {
        let mut users: BTreeSet<GitUser> =
            self.store.read(|owners| owners.values().map(|owner| owner.record.user.clone()).collect());
        users.extend(
            self.journal.known(|known| known.users().map(|known| known.user.clone()).collect::<Vec<_>>()),
        );
        let mut events = Vec::new();
        let mut targets: Vec<Target> = Vec::new();
        for user in &users {
            events.extend(self.unsettled(user));
            let Ok(login) = self.login(user) else { continue };
            for repo in
                self.store.owner(&login, |owner| owner.repositories.keys().cloned().collect::<Vec<_>>())?
            {
                targets.push(self.target(user, &repo)?);
            }
        }
        let (journal, now) = (Arc::clone(&self.journal), self.clock.now());
        blocking(move || {
            journal.note(events, now)?;
            for target in targets {
                let refs =
                    repair(&target.directory).and_then(|()| crate::bare::refs::list(&target.directory));
                match refs {
                    Ok(refs) => drop(journal.observe(&target.user, &target.repo, &refs, None, now)?),
                    // One damaged repository is its owner's affair; what was known of it stays known.
                    Err(error) => {
                        tracing::error!(repository = target.name(), %error, "a repository cannot be read");
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

/// The data directory is ours as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Explicitly: a child that another thread is just starting still has a copy of the handle. Where it fails, the
        // end of the process does it.
        let _ = self.0.unlock();
    }
}

/// Makes the directory ours, and writes what git is configured with.
fn take(directory: &Path) -> Result<Lock, HostError> {
    let doing = || format!("open the data directory {}", directory.display());
    let home = directory.join("home");
    fs::create_dir_all(&home).map_err(HostError::io(doing()))?;
    private(directory).map_err(HostError::io(doing()))?;
    let lock = File::create(directory.join("lock")).map_err(HostError::io(doing()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(HostError::refused(format!(
                "another process uses the data directory {}",
                directory.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(HostError::io(doing())(error)),
    }
    files::replace(&home.join("gitconfig"), CONFIGURATION.as_bytes()).map_err(HostError::io(doing()))?;
    Ok(Lock(lock))
}

/// Nobody else on the machine reads producers' repositories.
fn private(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

fn empty(directory: &Path) -> Result<(), HostError> {
    let doing = || format!("empty {}", directory.display());
    files::remove_all(directory).map_err(HostError::io(doing()))?;
    fs::create_dir_all(directory).map_err(HostError::io(doing()))
}
