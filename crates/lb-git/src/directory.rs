//! A data directory that is one process's alone, and what git is configured with there.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::HostError;
use crate::files;

/// What git is configured with wherever it runs for us: nothing runs that we did not start, nobody is asked, big files are
/// never held in memory.
const COMMON: &str = "\
[safe]
	directory = *
[init]
	defaultBranch = master
[core]
	hooksPath = /dev/null
	attributesFile = /dev/null
	logAllRefUpdates = false
	bigFileThreshold = 4m
	deltaBaseCacheLimit = 32m
[gc]
	auto = 0
	autoDetach = false
[maintenance]
	auto = false
[pack]
	threads = 1
[protocol]
	allow = never
";

/// What a host's git is configured with beside that: objects are checked as they arrive, and everything that a push was
/// told is on disk.
///
/// `fsck`: mistakes in commits and trees that old tools made and that harm nobody are let through, as the large hosts
/// do; the histories of existing producers have them.
const HOST: &str = "\
[core]
	fsync = committed,reference
	fsyncMethod = batch
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
[pack]
	windowMemory = 64m
	deltaCacheSize = 32m
";

/// The data directory is ours as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Explicitly: a child that another thread is just starting still has a copy of the handle. Where it fails, the
        // end of the process does it.
        let _ = self.0.unlock();
    }
}

/// Makes a host's directory ours, and writes what git is configured with.
pub(crate) fn take(directory: &Path) -> Result<Lock, HostError> {
    take_with(directory, HOST)
}

/// Makes the directory ours, and configures git with [`COMMON`] and this.
pub(crate) fn take_with(directory: &Path, own: &str) -> Result<Lock, HostError> {
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
    files::replace(&home.join("gitconfig"), (COMMON.to_owned() + own).as_bytes())
        .map_err(HostError::io(doing()))?;
    Ok(Lock(lock))
}

/// Nobody else on the machine reads producers' repositories.
fn private(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}
