//! Where the tools that are built from source are.
//!
//! The control plane's first in `KUBEBUILDER_ASSETS`; then each in the cache that `cargo xtask tools` fills, outside the
//! checkout and keyed by what it is built from.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// A Go module in `tools/` from which programs are built.
#[derive(Clone, Copy, Debug)]
pub struct GoModule {
    /// Its directory in `tools/`.
    pub name: &'static str,
    /// The module that it requires for the programs' sake, and whose version is theirs.
    pub requires: &'static str,
    go_mod: &'static str,
    go_sum: &'static str,
}

/// etcd, kube-apiserver, kube-controller-manager, kubectl.
pub const KUBERNETES: GoModule = GoModule {
    name: "kubernetes",
    requires: "k8s.io/kubernetes",
    go_mod: include_str!("../../../tools/kubernetes/go.mod"),
    go_sum: include_str!("../../../tools/kubernetes/go.sum"),
};

/// kube-scheduler, kubelet, kube-proxy: what a node takes beside the control plane.
pub const NODE: GoModule = GoModule {
    name: "node",
    requires: "k8s.io/kubernetes",
    go_mod: include_str!("../../../tools/node/go.mod"),
    go_sum: include_str!("../../../tools/node/go.sum"),
};

/// CoreDNS.
pub const COREDNS: GoModule = GoModule {
    name: "coredns",
    requires: "github.com/coredns/coredns",
    go_mod: include_str!("../../../tools/coredns/go.mod"),
    go_sum: include_str!("../../../tools/coredns/go.sum"),
};

/// Contour.
pub const CONTOUR: GoModule = GoModule {
    name: "contour",
    requires: "github.com/projectcontour/contour",
    go_mod: include_str!("../../../tools/contour/go.mod"),
    go_sum: include_str!("../../../tools/contour/go.sum"),
};

/// Gitea.
pub const GITEA: GoModule = GoModule {
    name: "gitea",
    requires: "code.gitea.io/gitea",
    go_mod: include_str!("../../../tools/gitea/go.mod"),
    go_sum: include_str!("../../../tools/gitea/go.sum"),
};

impl GoModule {
    /// The version that is built, with its `v`. It stands in the module file alone.
    ///
    /// # Errors
    /// Where the module file does not require [`Self::requires`].
    pub fn version(&self) -> Result<&'static str> {
        self.go_mod
            .lines()
            .filter_map(|line| line.trim().trim_start_matches("require ").strip_prefix(self.requires))
            .filter_map(|rest| rest.strip_prefix(' ')?.split_whitespace().next())
            .find(|version| version.starts_with('v'))
            .with_context(|| format!("tools/{}/go.mod does not require {}", self.name, self.requires))
    }

    /// The directory of the built programs: version and a digest of what they are built from.
    ///
    /// # Errors
    /// As [`Self::version`] and [`cache_dir`].
    pub fn dir(&self) -> Result<PathBuf> {
        let digest = Sha256::new().chain_update(self.go_mod).chain_update(self.go_sum).finalize();
        let name = format!("{}-{}-{}", self.name, self.version()?, &hex::encode(digest)[..10]);
        Ok(cache_dir()?.join(name))
    }
}

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

/// The programs of a node that are built from source.
#[derive(Clone, Debug)]
pub struct NodeBinaries {
    /// kube-scheduler.
    pub scheduler: PathBuf,
    /// kubelet.
    pub kubelet: PathBuf,
    /// kube-proxy.
    pub proxy: PathBuf,
    /// CoreDNS.
    pub coredns: PathBuf,
    /// Contour.
    pub contour: PathBuf,
    /// The definitions of Contour's custom resources.
    pub contour_crds: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
}

impl NodeBinaries {
    /// Looks them up.
    ///
    /// # Errors
    /// Where one is missing: which, and the command that builds it.
    pub fn locate() -> Result<Self> {
        let (node, contour) = (NODE.dir()?, CONTOUR.dir()?);
        let found = Self {
            scheduler: node.join("kube-scheduler"),
            kubelet: node.join("kubelet"),
            proxy: node.join("kube-proxy"),
            coredns: COREDNS.dir()?.join("coredns"),
            contour_crds: contour.join("crds.yaml"),
            contour: contour.join("contour"),
            envoy: envoy_dir()?.join("envoy/_bin/envoy"),
        };
        let Self { scheduler, kubelet, proxy, coredns, contour, contour_crds, envoy } = &found;
        let files = [scheduler, kubelet, proxy, coredns, contour, contour_crds, envoy];
        if let Some(missing) = files.into_iter().find(|file| !file.is_file()) {
            bail!("{} is missing: run `cargo xtask tools` as root, which makes it", missing.display());
        }
        Ok(found)
    }
}

/// Where `cargo xtask tools` puts the wheel of Envoy. Keyed by the file that names it.
///
/// # Errors
/// As [`cache_dir`].
pub fn envoy_dir() -> Result<PathBuf> {
    const REQUIREMENTS: &str = include_str!("../../../tools/envoy/requirements.txt");
    Ok(cache_dir()?.join(format!("envoy-{}", &hex::encode(Sha256::digest(REQUIREMENTS))[..10])))
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

/// Where a program is in `PATH`.
#[must_use]
pub fn in_path(program: &str) -> Option<PathBuf> {
    let path = crate::environment("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// Where a binary of the control plane is, if anywhere.
///
/// # Errors
/// As [`GoModule::dir`].
pub fn find(name: &str) -> Result<Option<PathBuf>> {
    let assets = crate::environment("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let directories = assets.into_iter().chain([KUBERNETES.dir()?]);
    Ok(directories.map(|directory| directory.join(name)).find(|file| file.is_file()))
}

/// Where Gitea is, if it was built. What it reads at run time (`options`, `templates`, `public`) stands beside it.
///
/// # Errors
/// As [`GoModule::dir`].
pub fn find_gitea() -> Result<Option<PathBuf>> {
    Ok(Some(GITEA.dir()?.join("gitea")).filter(|file| file.is_file()))
}

/// Where `cargo xtask tools` installs express-gateway: `node_modules` stands in it. Keyed by its lock file.
///
/// # Errors
/// As [`cache_dir`].
pub fn express_gateway_dir() -> Result<PathBuf> {
    npm_dir("express-gateway", include_str!("../../../tools/express-gateway/package-lock.json"))
}

/// Where `cargo xtask tools` installs what a new workspace's app depends on: `package.json`, its lock file and `node_modules`
/// stand in it. Keyed by the lock file.
///
/// # Errors
/// As [`cache_dir`].
pub fn loopback_dir() -> Result<PathBuf> {
    npm_dir("loopback", include_str!("../../../tools/loopback/package-lock.json"))
}

/// Where `cargo xtask bench workspace-api` installs the package that it compares with: `node_modules` stands in it. Keyed by its
/// lock file.
///
/// # Errors
/// As [`cache_dir`].
pub fn loopback_workspace_dir() -> Result<PathBuf> {
    npm_dir("loopback-workspace", include_str!("../../../tools/loopback-workspace/package-lock.json"))
}

fn npm_dir(name: &str, lock: &str) -> Result<PathBuf> {
    Ok(cache_dir()?.join(format!("{name}-{}", &hex::encode(Sha256::digest(lock))[..10])))
}

fn locate(name: &str) -> Result<PathBuf> {
    match find(name)? {
        Some(file) => Ok(file),
        None => bail!(
            "{name} is neither in {} nor in KUBEBUILDER_ASSETS: run `cargo xtask tools`, which builds it",
            KUBERNETES.dir()?.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_module_files() {
        for module in [KUBERNETES, NODE, COREDNS, CONTOUR, GITEA] {
            let version = module.version().unwrap();
            assert!(version.starts_with("v1.") && version.split('.').count() == 3, "{version}");
            let name = module.dir().unwrap().file_name().unwrap().to_string_lossy().into_owned();
            assert!(name.starts_with(&format!("{}-{version}-", module.name)), "{name}");
        }
    }

    #[test]
    fn a_node_is_of_its_control_planes_version() {
        assert_eq!(NODE.version().unwrap(), KUBERNETES.version().unwrap());
    }

    #[test]
    fn a_missing_binary_names_the_command_that_builds_it() {
        let error = locate("no-such-binary").unwrap_err().to_string();
        assert!(error.starts_with("no-such-binary is ") && error.contains("cargo xtask tools"), "{error}");
    }
}
