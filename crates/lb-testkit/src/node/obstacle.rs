//! Why no node can run here.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::missing_packages;
use crate::images;
use crate::process::bare;
use crate::skip::MACHINE;
use crate::tools::NodeBinaries;

const PROBE: &str = include_str!("probe.sh");

/// Why no node can run here.
#[derive(Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The machine does not give what one takes, and no set-up of ours changes that.
    Machine(String),
    /// What `cargo xtask tools` makes is missing.
    SetUp(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(why) => write!(f, "{MACHINE}{why}"),
            Self::SetUp(why) => write!(f, "the node is not set up: {why}"),
        }
    }
}

/// Whether we may do everything on this machine.
#[must_use]
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// What the machine lacks, packages aside: they can be installed.
#[must_use]
pub fn machine_lacks() -> Option<Obstacle> {
    if !is_root() {
        return Some(Obstacle::Machine("it takes root (sudo)".to_owned()));
    }
    let lacking = probe().unwrap_or_else(|error| Some(format!("{error:#}")));
    lacking.map(Obstacle::Machine)
}

/// Why no node can run here, if none can.
#[must_use]
pub fn obstacle() -> Option<Obstacle> {
    if let Some(obstacle) = machine_lacks() {
        return Some(obstacle);
    }
    let missing = missing_packages();
    if !missing.is_empty() {
        // `cargo xtask` has tried to install them.
        return Some(Obstacle::Machine(format!("it takes the Debian packages {}", missing.join(", "))));
    }
    let built = NodeBinaries::locate().map(drop).and_then(|()| images::pause().map(drop));
    built.err().map(|error| Obstacle::SetUp(format!("{error:#}")))
}

/// Tries what a node does, in namespaces that end with the attempt.
fn probe() -> Result<Option<String>> {
    let directory = tempfile::tempdir().context("make a directory to try a node's mounts in")?;
    let mut command = bare(Path::new("unshare"));
    command.args(["--mount", "--net", "--pid", "--fork", "sh", "-c", PROBE, "probe.sh"]);
    let output = command.arg(directory.path()).output().context("start unshare")?;
    if !output.status.success() && output.stdout.is_empty() {
        let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(Some(format!("no namespaces can be made, which takes CAP_SYS_ADMIN ({told})")));
    }
    let lacking = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok((!lacking.is_empty()).then_some(lacking))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_is_said_once_and_names_whose_fault_it_is() {
        match machine_lacks() {
            None => assert!(is_root()),
            Some(obstacle) => {
                let said = obstacle.to_string();
                assert!(said.starts_with(MACHINE) && said.lines().count() == 1, "{said}");
            }
        }
    }
}
