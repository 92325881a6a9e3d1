//! The npm package whose API the Workspace API is, to measure beside it. Nothing but that bench needs it.

use std::path::PathBuf;

use anyhow::{Result, bail};
use lb_testkit::tools as kept;

use super::npm;

/// Installs it where it is missing, and answers where.
pub(crate) fn ensure() -> Result<PathBuf> {
    let directory = kept::loopback_workspace_dir()?;
    if kept::in_path("node").is_none() {
        bail!("node is not installed, which runs loopback-workspace: apt-get install nodejs");
    }
    npm::ensure("loopback-workspace", &directory)?;
    if !directory.join("node_modules").is_dir() {
        bail!("npm is not installed, which fetches loopback-workspace: apt-get install npm");
    }
    Ok(directory)
}
