//! Programs from Go modules.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use lb_testkit::tools::{self as kept, GoModule};

use crate::command::{output, root, watched};
use crate::say::say;

/// A run of `go install`.
pub(super) struct Install<'a> {
    /// Where its versions stand.
    pub(super) module: &'a GoModule,
    /// The package of a program.
    pub(super) package: &'a str,
    /// Build tags.
    pub(super) tags: &'a str,
    /// The linker's flags.
    pub(super) flags: &'a str,
}

impl Install<'_> {
    /// Builds into a directory and says how far it is.
    pub(super) fn run(&self, to: &Path, title: &str) -> Result<()> {
        say(&format!("{title}: looking up its packages, downloading what is not there"));
        let mut list = go(self.module);
        let mut packages = 0_usize;
        watched(list.args(["list", "-deps", "-tags", self.tags, self.package]), |line| {
            packages += usize::from(!line.starts_with("go: "));
            format!("{title}: {line}")
        })?;
        let mut compiled = 0_usize;
        let mut install = go(self.module);
        install.env("GOBIN", to).args(["install", "-v", "-trimpath", "-tags", self.tags]);
        watched(install.args(["-ldflags", self.flags, self.package]), |line| {
            compiled += usize::from(!line.starts_with("go: "));
            format!("{title}: {compiled} of at most {packages} packages compiled, now {line}")
        })
    }
}

/// `go` in a module of ours.
pub(super) fn go(module: &GoModule) -> Command {
    let mut go = Command::new("go");
    // Cross compilation and foreign flags are the user's for other programs.
    go.current_dir(root().join("tools").join(module.name))
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .env_remove("CGO_ENABLED")
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off");
    go
}

/// Go 1.21 and later fetch the toolchain that a module asks for by themselves.
pub(super) fn needed() -> Result<()> {
    const HOW: &str = "get 1.21 or later from https://go.dev/dl/ (Debian 12's golang-go is too old; bookworm-backports has one)";
    if kept::in_path("go").is_none() {
        bail!("go is not in PATH: {HOW}");
    }
    let version = output(Command::new("go").args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"))?;
    let version = version.trim();
    let minor =
        version.strip_prefix("go1.").and_then(|rest| rest.split(['.', 'r', 'b']).next()?.parse::<u32>().ok());
    match minor {
        Some(minor) if minor >= 21 => Ok(()),
        Some(_) | None => bail!("{version} is too old: {HOW}"),
    }
}
