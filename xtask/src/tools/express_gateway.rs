//! express-gateway from npm, to start it on generated files.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use lb_testkit::tools as kept;

use super::whole;
use crate::command::{root, watched};
use crate::say::say;

/// Installs it where it is missing; without npm the tests that need it are skipped by name.
pub(super) fn ensure() -> Result<()> {
    let directory = kept::express_gateway_dir()?;
    if directory.join("node_modules").is_dir() {
        return Ok(());
    }
    if kept::in_path("npm").is_none() {
        say("npm is not installed (apt-get install npm): what needs express-gateway is skipped");
        return Ok(());
    }
    whole(&directory, |building| {
        let source = root().join("tools/express-gateway");
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), building.join(file)).with_context(|| format!("copy {file}"))?;
        }
        say(&format!("installing express-gateway from npm into {}", directory.display()));
        let mut npm = Command::new("npm");
        npm.current_dir(building).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        watched(&mut npm, |line| format!("express-gateway: {line}"))
    })
}
