//! A data directory that is one process's alone, and what git is configured with there.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use crate::error::HostError;
use crate::files;

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
    take_with(directory, CONFIGURATION)
}

/// Makes the directory ours, and writes this configuration of git.
pub(crate) fn take_with(directory: &Path, configuration: &str) -> Result<Lock, HostError> {
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
    files::replace(&home.join("gitconfig"), configuration.as_bytes()).map_err(HostError::io(doing()))?;
    Ok(Lock(lock))
}

/// Nobody else on the machine reads producers' repositories.
fn private(directory: &Path) -> std::io::Result<()> {
    fs::set_permissions(directory, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}
