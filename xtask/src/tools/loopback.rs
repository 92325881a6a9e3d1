//! LoopBack 3 and what else a new workspace's app depends on, from npm: for apps in tests, and for the image.

use anyhow::Result;
use lb_testkit::tools as kept;

use super::npm;

/// Installs it where it is missing; without npm the tests that need it are skipped by name.
pub(super) fn ensure() -> Result<()> {
    npm::ensure("loopback", &kept::loopback_dir()?)
}
