//! Runs of `buildah`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use lb_testkit::images::{Built, archive};

use crate::command::{output, root, watched};
use crate::say::say;
use crate::tools;

/// Archives of one image that stay.
const KEPT: usize = 6;

/// An image with a directory in `images/`.
pub(super) struct Image<'a> {
    /// That directory.
    pub(super) name: &'a str,
    /// Build arguments.
    pub(super) arguments: &'a [(&'a str, &'a str)],
    /// What it is made of beside its Containerfile: where all is equal, the image is.
    pub(super) contents: Vec<Vec<u8>>,
}

impl Image<'_> {
    /// Builds the archive where it is missing; `fill` puts what the Containerfile copies into an empty directory.
    pub(super) fn ensure(&self, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Built> {
        let repository = format!("localhost/lunchbadger/{}", self.name);
        let tag = key(self.name, &self.contents)?;
        self.ensure_as(&format!("{repository}:{tag}"), fill)?;
        Ok(Built { archive: self.archive()?, repository, tag })
    }

    /// The same by a name of the caller's.
    pub(super) fn ensure_as(&self, reference: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let archive = self.archive()?;
        let _lock = tools::lock(&archive)?;
        if archive.is_file() {
            return Ok(());
        }
        say(&format!("image {reference}: building {}", archive.display()));
        let context = tempfile::tempdir().context("make a directory for an image")?;
        fill(context.path())?;
        self.build_to_storage(reference, context.path())?;
        let building = tools::beside(&archive, ".building");
        // What a killed one of us left would be taken for an archive to add to.
        let _ = fs::remove_file(&building);
        let to = format!("oci-archive:{}:{reference}", building.display());
        let mut push = buildah()?;
        push.args(["push", "--quiet", "--disable-compression", reference, &to]);
        watched(&mut push, |line| format!("buildah: {line}"))?;
        output(buildah()?.args(["rmi", "--force", reference]))?;
        fs::rename(&building, &archive).with_context(|| format!("move to {}", archive.display()))?;
        self.forget_old_ones(&archive)
    }

    /// Removes archives of this image but for the newest few, which other checkouts may be using.
    fn forget_old_ones(&self, newest: &Path) -> Result<()> {
        let directory = newest.parent().context("an archive has a directory")?;
        let list = || format!("list {}", directory.display());
        let mut archives = Vec::new();
        for entry in fs::read_dir(directory).with_context(list)? {
            let path = entry.with_context(list)?.path();
            let modified = path.metadata().and_then(|metadata| metadata.modified());
            archives.extend(modified.ok().filter(|_| self.is_of(&path)).map(|at| (at, path)));
        }
        archives.sort();
        for (_, old) in archives.iter().rev().skip(KEPT) {
            fs::remove_file(old).with_context(|| format!("remove {}", old.display()))?;
        }
        Ok(())
    }

    /// Whether a path is that of an archive of this image: its name, a dash, a digest.
    fn is_of(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let digest =
            name.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".tar"));
        digest.is_some_and(|digest| digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }

    /// Builds it and leaves it in buildah's storage. Layers are kept: of an image whose program alone is another one, all
    /// but the last is there.
    pub(super) fn build_to_storage(&self, reference: &str, context: &Path) -> Result<()> {
        let mut build = buildah()?;
        build.args(["bud", "--quiet", "--layers", "--tag", reference, "--file"]).arg(path_of(self.name));
        build.args(self.arguments.iter().map(|(name, value)| format!("--build-arg={name}={value}")));
        watched(build.arg(context), |line| format!("image {reference}: {line}"))
    }

    fn archive(&self) -> Result<PathBuf> {
        let containerfile = containerfile(self.name)?;
        archive(self.name, std::iter::once(&containerfile).chain(&self.contents).map(Vec::as_slice))
    }
}

/// A digest of what an image is made of.
pub(super) fn key(name: &str, contents: &[Vec<u8>]) -> Result<String> {
    let containerfile = containerfile(name)?;
    let archive = archive(name, std::iter::once(&containerfile).chain(contents).map(Vec::as_slice))?;
    let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
    Ok(stem.rsplit('-').next().unwrap_or_default().to_owned())
}

/// The text of an image's Containerfile.
pub(super) fn containerfile(name: &str) -> Result<Vec<u8>> {
    let path = path_of(name);
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

fn path_of(name: &str) -> PathBuf {
    root().join("images").join(name).join("Containerfile")
}

/// Copies a directory as it is, links included.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    output(Command::new("cp").arg("--archive").arg(from).arg(to)).map(drop)
}

/// `buildah` with a storage of its own and without anything of a container engine.
pub(super) fn buildah() -> Result<Command> {
    let storage = lb_testkit::tools::cache_dir()?.join("images/storage");
    let mut buildah = Command::new("buildah");
    buildah.arg("--root").arg(&storage).arg("--runroot").arg(storage.join("run"));
    buildah.env("BUILDAH_ISOLATION", "chroot").env("STORAGE_DRIVER", "vfs");
    Ok(buildah)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_archives_of_an_image_go_and_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let begin = std::time::UNIX_EPOCH;
        let make = |name: &str, second: u64| {
            let file = fs::File::create(path(name)).unwrap();
            file.set_modified(begin + std::time::Duration::from_secs(second)).unwrap();
        };
        for second in 0..8 {
            make(&format!("pod-0{second}.tar"), second);
        }
        for other in ["pod-00.tar.lock", "podder-00.tar", "pod-new-00.tar", "workspace-00.tar"] {
            make(other, 0);
        }
        Image { name: "pod", arguments: &[], contents: Vec::new() }
            .forget_old_ones(&path("pod-07.tar"))
            .unwrap();
        let mut left: Vec<String> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let expected = [
            "pod-00.tar.lock",
            "pod-02.tar",
            "pod-03.tar",
            "pod-04.tar",
            "pod-05.tar",
            "pod-06.tar",
            "pod-07.tar",
        ];
        assert_eq!(left[..7], expected);
        assert_eq!(left.len(), 10);
    }
}
