//! Images, built without a container engine: `buildah` in a chroot, each kept as an OCI archive in the cache and keyed by
//! everything that it is made of, so that what did not change is not built again.

mod build;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lb_testkit::images as kept;

use crate::command::{root, run as run_command, watched};
use build::{Image, containerfile};

/// Those that a node needs by itself and that its tests run.
pub(crate) fn of_the_node() -> Result<()> {
    pause()?;
    busybox()
}

/// Static, and so without a base image.
fn pause() -> Result<()> {
    let image = Image { name: "pause", reference: kept::PAUSE, arguments: &[] };
    let source = root().join("images/pause/pause.c");
    let text = fs::read(&source).with_context(|| format!("read {}", source.display()))?;
    let archive = kept::archive("pause", [&*containerfile("pause")?, &*text])?;
    image.ensure(&archive, |context| {
        let mut compiler = Command::new("cc");
        compiler
            .args(["-static", "-Os", "-s", "-Wall", "-Werror", "-o"])
            .arg(context.join("pause"))
            .arg(&source);
        run_command(&mut compiler)
    })
}

/// Taken out of its package, because that cannot be installed beside Debian's ordinary `busybox`.
fn busybox() -> Result<()> {
    let image = Image { name: "busybox", reference: kept::BUSYBOX, arguments: &[] };
    let archive = kept::archive("busybox", [&*containerfile("busybox")?])?;
    image.ensure(&archive, |context| {
        let unpacked = tempfile::tempdir().context("make a directory for a package")?;
        let mut download = Command::new("apt-get");
        // apt-get fetches as a user of its own, who may not write everywhere: as root it says so and does it itself.
        download.current_dir(unpacked.path()).args(["--quiet", "download", "busybox-static"]);
        watched(&mut download, |line| format!("busybox: {line}"))?;
        let package = only_file(unpacked.path())?;
        run_command(Command::new("dpkg-deb").arg("--extract").arg(package).arg(unpacked.path()))?;
        fs::copy(unpacked.path().join("bin/busybox"), context.join("busybox")).context("copy busybox")?;
        Ok(())
    })
}

fn only_file(directory: &Path) -> Result<std::path::PathBuf> {
    let first = fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?.next();
    Ok(first.with_context(|| format!("{} is empty", directory.display()))??.path())
}
