//! Images that a node needs by itself and that its tests run; `cargo xtask images` builds them, and says what else it does.
//!
//! Both are made of text in `images/` alone, so that a digest of it says where the built archive is.

use std::path::PathBuf;

use anyhow::{Result, bail};
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
