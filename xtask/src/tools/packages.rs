//! Debian packages.

use std::process::Command;

use anyhow::{Result, bail};
use lb_testkit::tools::in_path;

use crate::command::watched;
use crate::say::say;

/// Installs packages that `purpose` takes, after saying so.
pub(crate) fn install(purpose: &str, packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if in_path("apt-get").is_none() {
        bail!(
            "{purpose} takes programs of the Debian packages {}, and this is no Debian",
            packages.join(", ")
        );
    }
    say(&format!("installing Debian packages, which {purpose} takes: {}", packages.join(", ")));
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["--quiet", "--yes"]).args(arguments);
        watched(&mut apt, |line| format!("apt-get: {line}"))
    };
    apt(&["update"])?;
    apt(&[&["install", "--no-install-recommends"], packages].concat())
}
