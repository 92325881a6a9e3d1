//! express-gateway from npm, to start it on generated files.

use anyhow::Result;
use lb_testkit::tools as kept;

use super::npm;

/// Installs it where it is missing; without npm the tests that need it are skipped by name.
pub(super) fn ensure() -> Result<()> {
    npm::ensure("express-gateway", &kept::express_gateway_dir()?)
}
