//! Packages from npm, each set with its lock file in `tools/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lb_testkit::tools as kept;

use super::whole;
use crate::command::{root, watched};
use crate::say::say;

/// Installs what `tools/<name>` locks into `directory`, where it is missing; without npm it only says so.
pub(super) fn ensure(name: &str, directory: &Path) -> Result<()> {
    if directory.join("node_modules").is_dir() {
        return Ok(());
    }
    if kept::in_path("npm").is_none() {
        say(&format!("npm is not installed (apt-get install npm): what needs {name} is skipped"));
        return Ok(());
    }
    whole(directory, |building| {
        let source = root().join("tools").join(name);
        for file in ["package.json", "package-lock.json"] {
            fs::copy(source.join(file), building.join(file)).with_context(|| format!("copy {file}"))?;
        }
        say(&format!("installing {name} from npm into {}", directory.display()));
        let mut npm = Command::new("npm");
        npm.current_dir(building).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        watched(&mut npm, |line| format!("{name}: {line}"))
    })
}
