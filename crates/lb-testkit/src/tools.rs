//! Where the binaries of the control plane are.
//!
//! First `KUBEBUILDER_ASSETS`, then the cache that `cargo xtask tools` fills, outside the checkout and keyed by what
//! they are built from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// What the control plane is built from. Its version stands here alone.
pub const GO_MOD: &str = include_str!("../../../tools/kubernetes/go.mod");
/// The checksums of what it is built from.
pub const GO_SUM: &str = include_str!("../../../tools/kubernetes/go.sum");

/// The binaries of a control plane.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub kube_apiserver: PathBuf,
    /// kube-controller-manager.
    pub kube_controller_manager: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
}

impl Binaries {
    /// Looks them up.
    ///
    /// # Errors
    /// Where one is missing: which, where it was looked for, and the command that builds it.
    pub fn locate() -> Result<Self> {
        Ok(Self {
            etcd: locate("etcd")?,
            kube_apiserver: locate("kube-apiserver")?,
            kube_controller_manager: locate("kube-controller-manager")?,
            kubectl: locate("kubectl")?,
        })
    }
}

/// The Kubernetes version that is built, with its `v`.
///
/// # Errors
/// Where `tools/kubernetes/go.mod` does not require `k8s.io/kubernetes`.
pub fn kubernetes_version() -> Result<&'static str> {
    GO_MOD
        .lines()
        .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix("k8s.io/kubernetes "))
        .filter_map(|rest| rest.split_whitespace().next())
        .find(|version| version.starts_with('v'))
        .context("tools/kubernetes/go.mod does not require k8s.io/kubernetes")
}

/// The cache of built tools: `$XDG_CACHE_HOME/lunchbadger`, or `~/.cache/lunchbadger`.
///
/// # Errors
/// Where neither variable is set.
pub fn cache_dir() -> Result<PathBuf> {
    let base = match crate::environment("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => {
            let home = crate::environment("HOME")
                .context("neither XDG_CACHE_HOME nor HOME is set: where to keep built tools?")?;
            Path::new(&home).join(".cache")
        }
    };
    Ok(base.join("lunchbadger"))
}

/// The directory of the built control plane: version and a digest of what it is built from.
///
/// # Errors
/// As [`kubernetes_version`] and [`cache_dir`].
pub fn kubernetes_dir() -> Result<PathBuf> {
    let digest = Sha256::new().chain_update(GO_MOD).chain_update(GO_SUM).finalize();
    Ok(cache_dir()?.join(format!("kubernetes-{}-{}", kubernetes_version()?, &hex::encode(digest)[..10])))
}

/// Where a program is in `PATH`.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = crate::environment("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Where a binary of the control plane is, if anywhere.
///
/// # Errors
/// As [`kubernetes_dir`].
pub fn find(name: &str) -> Result<Option<PathBuf>> {
    let assets = crate::environment("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let directories = assets.into_iter().chain([kubernetes_dir()?]);
    Ok(directories.map(|directory| directory.join(name)).find(|file| file.is_file()))
}

/// Where `cargo xtask tools` installs express-gateway: `node_modules` stands in it. Keyed by its lock file.
///
/// # Errors
/// As [`cache_dir`].
pub fn express_gateway_dir() -> Result<PathBuf> {
    const LOCK: &str = include_str!("../../../tools/express-gateway/package-lock.json");
    Ok(cache_dir()?.join(format!("express-gateway-{}", &hex::encode(Sha256::digest(LOCK))[..10])))
}

fn locate(name: &str) -> Result<PathBuf> {
    match find(name)? {
        Some(file) => Ok(file),
        None => bail!(
            "{name} is neither in {} nor in KUBEBUILDER_ASSETS: run `cargo xtask tools`, which builds it",
            kubernetes_dir()?.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_module_file() {
        let version = kubernetes_version().unwrap();
        assert!(version.starts_with("v1.") && version.split('.').count() == 3, "{version}");
        let name = kubernetes_dir().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with(&format!("kubernetes-{version}-")), "{name}");
    }

    #[test]
    fn a_missing_binary_names_the_command_that_builds_it() {
        let error = locate("no-such-binary").unwrap_err().to_string();
        assert!(error.starts_with("no-such-binary is ") && error.contains("cargo xtask tools"), "{error}");
    }
}
