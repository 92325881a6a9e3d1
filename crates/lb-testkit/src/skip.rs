//! Tests that cannot run here: said aloud, counted, and a failure in CI.
//!
//! `cargo xtask test` names a file in `LUNCHBADGER_TEST_SKIPS`, prints its lines at the end, and fails on any where
//! `CI` is set. Never use it for what the set-up of that command provides.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

/// The variable that names the file of skips.
pub const SKIPS: &str = "LUNCHBADGER_TEST_SKIPS";

/// Where `program` is in `PATH`; otherwise notes the running test as skipped, saying how to install it. Use:
/// `let Some(redis) = skip::needs("redis-server", "apt-get install redis-server") else { return };`
#[must_use]
pub fn needs(program: &str, how: &str) -> Option<PathBuf> {
    let found = crate::tools::in_path(program);
    if found.is_none() {
        note(&format!("{program} is not installed ({how})"));
    }
    found
}

/// The directory in whose `node_modules` the express-gateway is that `cargo xtask tools` installs; otherwise notes the
/// running test as skipped.
#[must_use]
pub fn needs_express_gateway() -> Option<PathBuf> {
    installed("express-gateway", crate::tools::express_gateway_dir())
}

/// The directory with `package.json` and `node_modules` of LoopBack, as `cargo xtask tools` installs it; otherwise, and where
/// there is no Node, notes the running test as skipped.
#[must_use]
pub fn needs_loopback() -> Option<PathBuf> {
    needs("node", "apt-get install nodejs npm")?;
    installed("LoopBack", crate::tools::loopback_dir())
}

/// A directory in which npm has installed something.
fn installed(what: &str, directory: anyhow::Result<PathBuf>) -> Option<PathBuf> {
    let directory = directory.ok().filter(|directory| directory.join("node_modules").is_dir());
    if directory.is_none() {
        note(&format!("{what} is not installed (apt-get install npm, then cargo xtask tools)"));
    }
    directory
}

/// Where the Gitea is that `cargo xtask tools` builds; otherwise notes the running test as skipped. Use:
/// `if skip::needs_gitea().is_none() { return }`, then `Gitea::shared().await`.
#[must_use]
pub fn needs_gitea() -> Option<PathBuf> {
    let found = crate::tools::find_gitea().ok().flatten();
    if found.is_none() {
        note("Gitea is not built (cargo xtask tools)");
    }
    found
}

/// Notes the running test as skipped.
///
/// # Panics
/// Where the file of skips cannot be written: a skip must not get lost.
pub fn note(why: &str) {
    let Some(file) = crate::environment(SKIPS) else { return };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let binary = std::env::current_exe().ok();
    let binary = binary.as_deref().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy();
    let binary = binary.rsplit_once('-').map_or(&*binary, |(name, _)| name);
    let line = format!("{binary} {test}: {why}\n");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("note a skipped test");
}
