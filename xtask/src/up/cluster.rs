//! The cluster that the system uses, and how it is reached.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use lb_testkit::process::bare;

/// A cluster.
pub(super) struct Cluster {
    /// The file that says where it is.
    pub(super) kubeconfig: PathBuf,
    /// A client of it.
    pub(super) client: Client,
}

impl Cluster {
    /// Reads a kubeconfig; the cluster itself is not asked yet.
    pub(super) async fn of(kubeconfig: &Path) -> Result<Self> {
        let shown = kubeconfig.display();
        let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {shown}"))?;
        // A proxy of the environment is for the world outside; one that the file names is for this cluster.
        let proxied = file
            .clusters
            .iter()
            .any(|named| named.cluster.as_ref().is_some_and(|cluster| cluster.proxy_url.is_some()));
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .with_context(|| format!("use the current context of {shown}"))?;
        if !proxied {
            config.proxy_url = None;
        }
        let client =
            Client::try_from(config).with_context(|| format!("make a client of the cluster of {shown}"))?;
        Ok(Self { kubeconfig: kubeconfig.to_owned(), client })
    }

    /// A program that takes `--kubeconfig`, for this cluster.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = bare(program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    /// Objects of one of our kinds, in all namespaces.
    pub(super) fn all(&self, of_kind: &str) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &kind(of_kind))
    }
}

/// The group of our kinds.
pub(super) const GROUP: &str = "lunchbadger.io";

/// One of our kinds.
pub(super) fn kind(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1alpha1", kind))
}
