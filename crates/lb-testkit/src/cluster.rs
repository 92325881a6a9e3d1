//! A cluster for tests: one that a whole run shares, or one of a test's own.
//!
//! Tests on the shared cluster keep apart by name: a namespace each ([`TestCluster::namespace`]) and producers with
//! [`crate::unique`] names, because `LBProducer` is cluster scoped. No kubelet and no scheduler run: pods of
//! Deployments are created and stay `Pending` until [`TestCluster::make_pods_ready`].
//!
//! Caveat: the garbage collector learns of new custom resources every 30 seconds; a test that waits for it to act on
//! such an owner waits longer than that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};

use crate::control_plane::{self, ControlPlane, Options};
pub use crate::kubeconfig::User;
use crate::tools::Binaries;

/// The variable through which `cargo xtask test` shares one cluster among all test binaries.
pub const SHARED_KUBECONFIG: &str = "LUNCHBADGER_TEST_KUBECONFIG";

/// A running cluster.
pub struct TestCluster {
    kubeconfig: PathBuf,
    own: Option<Mutex<ControlPlane>>,
}

impl TestCluster {
    /// The cluster of this run: `cargo xtask test` starts it; otherwise the first test of each test binary does.
    ///
    /// # Panics
    /// Where it cannot be started: the message says what to do.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<TestCluster> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                match crate::environment(SHARED_KUBECONFIG) {
                    Some(kubeconfig) => Self { kubeconfig: kubeconfig.into(), own: None },
                    None => Self::start(Options::default()).await.unwrap_or_else(|error| panic!("{error:#}")),
                }
            })
            .await
    }

    /// A cluster of the caller's own, for tests that stop parts of it. It ends when it is dropped.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn start(options: Options) -> Result<Self> {
        let plane = ControlPlane::start(options).await?;
        Ok(Self { kubeconfig: plane.kubeconfig(), own: Some(Mutex::new(plane)) })
    }

    /// The kubeconfig file, with a context for each [`User`]; the current one is `admin`.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client that may do everything.
    pub async fn client(&self) -> Client {
        self.client_for(User::Admin).await
    }

    /// A client of one user. Every test makes its own, because connections belong to its runtime.
    ///
    /// # Panics
    /// Where the kubeconfig is gone.
    pub async fn client_for(&self, user: User) -> Client {
        control_plane::client(&self.kubeconfig, user).await.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Creates a namespace that no other test uses and returns its name. It stays until the cluster ends.
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> String {
        self.namespace_with(prefix, &[]).await
    }

    /// As [`Self::namespace`], with labels (Pod Security's, for example).
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn namespace_with(&self, prefix: &str, labels: &[(&str, &str)]) -> String {
        let name = crate::unique(&format!("{prefix}-"));
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        Api::all(self.client().await)
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap_or_else(|error| panic!("create namespace {name}: {error}"));
        name
    }

    /// Does what a kubelet would: says of every pod of the namespace that matches that it runs and is ready. Returns
    /// how many there are.
    ///
    /// # Errors
    /// Where the API server refuses.
    pub async fn make_pods_ready(&self, namespace: &str, label_selector: &str) -> Result<usize> {
        let pods: Api<Pod> = Api::namespaced(self.client().await, namespace);
        let list = pods.list(&ListParams::default().labels(label_selector)).await.context("list pods")?;
        let conditions: Vec<Value> = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": "True"}))
            .into();
        let status = json!({"status": {"phase": "Running", "conditions": conditions}});
        for pod in &list {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(&status))
                .await
                .with_context(|| format!("make pod {name} ready"))?;
        }
        Ok(list.items.len())
    }

    /// The audit log up to now: one event (`audit.k8s.io/v1`, level `Metadata`) per request of anybody but the
    /// control plane's own parts. On a shared cluster filter by `userAgent`, `user.username` or namespace.
    ///
    /// # Panics
    /// Where the cluster was started without one.
    #[must_use]
    pub fn audit(&self) -> Vec<Value> {
        let log = self.kubeconfig.with_file_name("audit.log");
        let text =
            std::fs::read_to_string(&log).unwrap_or_else(|error| panic!("read {}: {error}", log.display()));
        // The last line may be half written.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Runs `kubectl` as cluster admin.
    ///
    /// # Panics
    /// Where it cannot be started.
    pub async fn kubectl(&self, arguments: &[&str]) -> Output {
        let binaries = Binaries::locate().unwrap_or_else(|error| panic!("{error:#}"));
        let home = tempfile::tempdir().expect("a home for kubectl");
        let mut command = crate::process::bare(&binaries.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).env("HOME", home.path());
        tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("kubectl's thread")
            .expect("start kubectl")
    }

    /// Kills the API server of a cluster of our own; its data stays.
    ///
    /// # Panics
    /// On the shared cluster.
    pub async fn stop_api_server(&self) {
        self.own().lock().await.stop_api_server();
    }

    /// Starts the API server again, on the same address.
    ///
    /// # Panics
    /// On the shared cluster, and where it does not come up.
    pub async fn start_api_server(&self) {
        let mut plane = self.own().lock().await;
        plane.start_api_server().await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Makes etcd forget everything but what stands now. Let the API server be stopped.
    ///
    /// # Panics
    /// On the shared cluster, and where etcd does not do it.
    pub async fn compact(&self) {
        self.own().lock().await.compact().await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Makes etcd refuse whatever would store something, as one does whose quota is used up; or not any more.
    ///
    /// # Panics
    /// On the shared cluster, and where etcd does not do it.
    pub async fn set_full(&self, full: bool) {
        self.own().lock().await.set_full(full).await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Kills the controllers: nothing collects garbage or moves Deployments.
    ///
    /// # Panics
    /// On the shared cluster.
    pub async fn stop_controllers(&self) {
        self.own().lock().await.stop_controllers();
    }

    /// Starts the controllers again.
    ///
    /// # Panics
    /// On the shared cluster, and where they do not come up.
    pub async fn start_controllers(&self) {
        let mut plane = self.own().lock().await;
        plane.start_controllers().await.unwrap_or_else(|error| panic!("{error:#}"));
    }

    fn own(&self) -> &Mutex<ControlPlane> {
        self.own.as_ref().expect("the shared cluster is not to be stopped: use TestCluster::start")
    }
}
