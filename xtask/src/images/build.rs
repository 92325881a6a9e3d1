//! One run of `buildah`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::{output, root, watched};
use crate::say::say;
use crate::tools;

/// An image with a directory in `images/`.
pub(super) struct Image<'a> {
    /// That directory.
    pub(super) name: &'a str,
    /// What pods call it.
    pub(super) reference: &'a str,
    /// Build arguments.
    pub(super) arguments: &'a [(&'a str, &'a str)],
}

impl Image<'_> {
    /// Builds the archive where it is missing; `fill` puts what the Containerfile copies into an empty directory.
    pub(super) fn ensure(&self, archive: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if archive.is_file() {
            return Ok(());
        }
        let _lock = tools::lock(archive)?;
        if archive.is_file() {
            return Ok(());
        }
        say(&format!("image {}: building {}", self.reference, archive.display()));
        let context = tempfile::tempdir().context("make a directory for an image")?;
        fill(context.path())?;
        self.build(archive, context.path())
    }

    fn build(&self, archive: &Path, context: &Path) -> Result<()> {
        let mut build = buildah()?;
        build.args(["bud", "--quiet", "--tag", self.reference, "--file"]).arg(path_of(self.name));
        build.args(self.arguments.iter().map(|(name, value)| format!("--build-arg={name}={value}")));
        watched(build.arg(context), |line| format!("image {}: {line}", self.reference))?;
        let building = tools::beside(archive, ".building");
        // What a killed one of us left would be taken for an archive to add to.
        let _ = fs::remove_file(&building);
        let to = format!("oci-archive:{}:{}", building.display(), self.reference);
        watched(buildah()?.args(["push", "--quiet", self.reference, &to]), |line| {
            format!("buildah: {line}")
        })?;
        output(buildah()?.args(["rmi", "--force", self.reference]))?;
        fs::rename(&building, archive).with_context(|| format!("move to {}", archive.display()))
    }
}

/// The text of an image's Containerfile.
pub(super) fn containerfile(name: &str) -> Result<Vec<u8>> {
    let path = path_of(name);
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

fn path_of(name: &str) -> PathBuf {
    root().join("images").join(name).join("Containerfile")
}

/// `buildah` with a storage of its own and without anything of a container engine.
pub(super) fn buildah() -> Result<Command> {
    let storage = lb_testkit::tools::cache_dir()?.join("images/storage");
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(&storage).arg("--runroot").arg(storage.join("run"));
    buildah.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
    Ok(buildah)
}
