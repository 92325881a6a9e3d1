//! Building what tests and `up` need and no package registry has ready: once, into a cache outside the checkout.

mod express_gateway;
mod gitea;
mod go;
mod kubernetes;
mod loopback;
mod loopback_workspace;
mod node;
mod npm;
mod packages;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use lb_testkit::node::{machine_lacks, missing_packages};
use lb_testkit::tools as kept;

use crate::say::say;

pub(crate) use express_gateway::ensure as express_gateway;
pub(crate) use gitea::ensure as gitea;
pub(crate) use kubernetes::{ensure as kubernetes, kubectl};
pub(crate) use loopback::ensure as loopback;
pub(crate) use loopback_workspace::ensure as loopback_workspace;
pub(crate) use node::ensure as node;
pub(crate) use packages::install;

/// Builds whatever is missing; says what, where to, and how far it is.
pub(crate) fn ensure() -> Result<()> {
    needs_git()?;
    kubernetes()?;
    gitea()?;
    express_gateway()?;
    loopback()?;
    node_where_one_can_run()
}

/// What a node takes, where one can run. A machine that cannot is no failure: tests that need one are skipped.
fn node_where_one_can_run() -> Result<()> {
    let packages = || install("a node", &missing_packages()).err().map(|error| format!("{error:#}"));
    match machine_lacks().map(|obstacle| obstacle.to_string()).or_else(packages) {
        None => node(),
        Some(why) => {
            say(&format!("{why}; what it takes is not built, and tests that need one are skipped"));
            Ok(())
        }
    }
}

/// Makes a directory of the cache as a whole: `fill` works beside it, and its name comes last. Where another of us
/// has made it meanwhile, nothing is left to do.
fn whole(directory: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let _lock = lock(directory)?;
    if directory.exists() {
        return Ok(());
    }
    let building = beside(directory, ".building");
    if building.exists() {
        fs::remove_dir_all(&building).with_context(|| format!("remove {}", building.display()))?;
    }
    fs::create_dir_all(&building).with_context(|| format!("create {}", building.display()))?;
    fill(&building)?;
    fs::rename(&building, directory)
        .with_context(|| format!("move {} to {}", building.display(), directory.display()))
}

/// Held while one of us builds; a second one waits and then finds everything done.
pub(crate) fn lock(directory: &Path) -> Result<File> {
    let path = beside(directory, ".lock");
    let parent = directory.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            say(&format!(
                "waiting for another cargo xtask that builds the same (it holds {})",
                path.display()
            ));
            file.lock().with_context(|| format!("lock {}", path.display()))?;
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}

pub(crate) fn beside(directory: &Path, suffix: &str) -> PathBuf {
    let mut path = directory.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

pub(crate) fn needs_git() -> Result<()> {
    if kept::in_path("git").is_none() {
        bail!("git is not installed: apt-get install git");
    }
    Ok(())
}
