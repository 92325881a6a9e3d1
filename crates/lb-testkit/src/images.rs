//! Images that pods of tests run; `cargo xtask images` builds them.
//!
//! Those of a node itself are made of text in `images/` alone, so that a digest of it says where the built archive is. Those of
//! producers' pods are made of our programs, too: whoever built them hands them on ([`Images`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::tools::cache_dir;

/// What holds a pod's namespaces.
pub const PAUSE: &str = "localhost/pause:1";
/// A static busybox: a web server, and clients of names and pages.
pub const BUSYBOX: &str = "localhost/busybox:1";

/// The archive of [`PAUSE`].
///
/// # Errors
/// Where it was not built.
pub fn pause() -> Result<PathBuf> {
    built(
        "pause",
        &[include_str!("../../../images/pause/Containerfile"), include_str!("../../../images/pause/pause.c")],
    )
}

/// The archive of [`BUSYBOX`].
///
/// # Errors
/// Where it was not built.
pub fn busybox() -> Result<PathBuf> {
    built("busybox", &[include_str!("../../../images/busybox/Containerfile")])
}

fn built(name: &str, sources: &[&str]) -> Result<PathBuf> {
    let archive = archive(name, sources.iter().map(|text| text.as_bytes()))?;
    if archive.is_file() { Ok(archive) } else { bail!("image {name} is not built: run `cargo xtask images`") }
}

/// Where the archive of an image is that is made of `sources`.
///
/// # Errors
/// As [`cache_dir`].
pub fn archive<'a>(name: &str, sources: impl IntoIterator<Item = &'a [u8]>) -> Result<PathBuf> {
    let mut digest = Sha256::new();
    for source in sources {
        // With its length, so that what is moved from one into the next is another image.
        digest.update(source.len().to_be_bytes());
        digest.update(source);
    }
    Ok(cache_dir()?.join("images").join(format!("{name}-{}.tar", &hex::encode(digest.finalize())[..16])))
}

/// The variable through which `cargo xtask test` names the file of [`Images`].
pub const OF_THE_RUN: &str = "LUNCHBADGER_TEST_IMAGES";

/// A built image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// What pods call it, without its tag.
    pub repository: String,
    /// Its tag: a digest of what it is made of.
    pub tag: String,
    /// Where it is.
    pub archive: PathBuf,
}

impl Built {
    /// What pods call it.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }
}

/// What a producer's pods run, and what they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// Init containers and the sls-api.
    pub pod: Built,
    /// Both containers of a workspace.
    pub workspace: Built,
    /// Express Gateway.
    pub gateway: Built,
    /// The Redis that gateways share.
    pub redis: Built,
}

impl Images {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&Built; 4] {
        let Self { pod, workspace, gateway, redis } = self;
        [pod, workspace, gateway, redis]
    }

    /// Settings of the Actualizer, by which pods run them.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let Self { pod, workspace, gateway, redis: _ } = self;
        let variables =
            [("LBWS", workspace), ("LBSLS", pod), ("GIT_INIT", pod), ("GATEWAY", gateway)].into_iter();
        let both = variables.flat_map(|(name, image)| {
            [
                (format!("{name}_IMAGE"), image.repository.clone()),
                (format!("{name}_VERSION"), image.tag.clone()),
            ]
        });
        both.collect()
    }

    /// Writes which they are, for [`Self::read`].
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let of = |built: &Built| json!([built.repository, built.tag, built.archive]);
        let list: Vec<Value> = self.all().into_iter().map(of).collect();
        std::fs::write(file, json!(list).to_string())
            .with_context(|| format!("write the list of images {}", file.display()))
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// Where it was not that.
    pub fn read(file: &Path) -> Result<Self> {
        let what = || format!("read the list of images {}", file.display());
        let text = std::fs::read(file).with_context(what)?;
        let list: [(String, String, PathBuf); 4] = serde_json::from_slice(&text).with_context(what)?;
        let [pod, workspace, gateway, redis] =
            list.map(|(repository, tag, archive)| Built { repository, tag, archive });
        Ok(Self { pod, workspace, gateway, redis })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_images_is_read_as_it_was_written() {
        let built = |name: &str| Built {
            repository: format!("localhost/{name}"),
            tag: format!("of-{name}"),
            archive: format!("/images/{name}.tar").into(),
        };
        let [pod, workspace, gateway, redis] = ["pod", "workspace", "gateway", "redis"].map(built);
        let images = Images { pod, workspace, gateway, redis };
        let file = tempfile::NamedTempFile::new().unwrap();
        images.write(file.path()).unwrap();
        assert_eq!(Images::read(file.path()).unwrap(), images);
        assert_eq!(images.settings()["LBSLS_IMAGE"], "localhost/pod");
    }
}
