//! An API server with its controllers, git-api and configstore over the embedded host, a neighbour who notices nothing,
//! and the proxies between all this and the Actualizer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use lb_desired::crd::{LBProducer, LBProducerStatus};
use lb_git::GitHost;
use lb_git::embedded::{self, Embedded};
use lb_services::{configstore, git_api};
use lb_testkit::clock::ManualClock;
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::eventually;
use lb_testkit::faults::{Counting, Dialect, Gate, Proxy};
use lb_testkit::git::{Clone, Git};
use lb_vocab::GitUser;
use lb_vocab::settings::Reader;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::actualizer::{How, Kept};
use crate::cases::Border;
use crate::snapshot::Snapshot;

/// The namespace of producers' objects.
pub(crate) const NAMESPACE: &str = "customer";
/// Whose life it is.
pub(crate) const PRODUCER: &str = "al";
/// Who notices nothing.
pub(crate) const NEIGHBOUR: &str = "ne";
/// How long anything may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// The clock of one replica, and its ways out.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) clock: ManualClock,
    pub(crate) gate: Gate,
    pub(crate) api: Proxy,
    pub(crate) git: Proxy,
}

impl Side {
    fn new(authority: &[u8]) -> Self {
        let gate = Gate::default();
        Self {
            api: Proxy::new(Dialect::Kubernetes, &gate, Some(authority)).expect("a proxy"),
            git: Proxy::new(Dialect::Services, &gate, None).expect("a proxy"),
            clock: ManualClock::default(),
            gate,
        }
    }

    /// The proxy at a border.
    pub(crate) fn proxy(&self, border: Border) -> &Proxy {
        match border {
            Border::Kubernetes => &self.api,
            Border::Services => &self.git,
        }
    }
}

/// What all runs share.
pub(crate) struct World {
    pub(crate) client: Client,
    /// Of the replica that things happen to.
    pub(crate) side: Side,
    /// Of another one, where there are two.
    pub(crate) rival: Side,
    server: String,
    kubeconfig: Value,
    git_api: String,
    configstore: String,
    host: Arc<Embedded>,
    data: TempDir,
    kept: Mutex<Vec<Kept>>,
    pub(crate) cluster: TestCluster,
}

impl World {
    /// Starts it, with the neighbour applied.
    pub(crate) async fn start() -> Self {
        let cluster = TestCluster::start(Options { audit: false, ..Options::default() })
            .await
            .expect("a control plane");
        let client = cluster.client().await;
        install(&cluster, &client).await;
        let data = tempfile::tempdir().expect("a data directory");
        let (host, git_api, configstore) = services(data.path()).await;
        let file = std::fs::read_to_string(cluster.kubeconfig()).expect("read the kubeconfig");
        let kubeconfig: Value = serde_json::from_str(&file).expect("a kubeconfig is JSON");
        let named = &kubeconfig["clusters"][0]["cluster"];
        let authority = named["certificate-authority-data"].as_str().expect("an authority");
        let authority = base64(authority);
        Self {
            side: Side::new(&authority),
            rival: Side::new(&authority),
            server: named["server"].as_str().expect("a server").to_owned(),
            kept: Mutex::default(),
            cluster,
            kubeconfig,
            client,
            git_api,
            configstore,
            host,
            data,
        }
    }

    /// Starts an Actualizer.
    pub(crate) async fn begin(self: &Arc<Self>, how: How) {
        self.kept.lock().await.push(Kept::start(self, &self.side, how));
    }

    /// Starts another one.
    pub(crate) async fn rival(self: &Arc<Self>) {
        self.kept.lock().await.push(Kept::start(self, &self.rival, How::Task));
    }

    /// Sends a signal to the one that was started first, where it is a program.
    pub(crate) async fn signal(&self, signal: &'static str) {
        self.kept.lock().await.first().expect("it was started").signal(signal);
    }

    /// Where it logs, where it is a program.
    pub(crate) fn log(&self) -> PathBuf {
        self.data.path().join("actualizer.log")
    }

    /// Stops the one that was started last.
    pub(crate) async fn end(&self) {
        if let Some(kept) = self.kept.lock().await.pop() {
            kept.stop().await;
        }
    }

    /// A kubeconfig of an address for the present incarnation.
    pub(crate) async fn kubeconfig(&self, side: &Side) -> PathBuf {
        let mut kubeconfig = self.kubeconfig.clone();
        let server = side.api.listen(&self.server).await.expect("an address");
        kubeconfig["clusters"][0]["cluster"] = json!({"server": server});
        let name = server.trim_start_matches("http://");
        let path = self.data.path().join(format!("kubeconfig-{name}"));
        std::fs::write(&path, kubeconfig.to_string()).expect("write a kubeconfig");
        path
    }

    /// Addresses of git-api and configstore for the present incarnation.
    pub(crate) async fn services(&self, side: &Side) -> [String; 2] {
        let git_api = side.git.listen(&self.git_api).await.expect("an address");
        [git_api, side.git.listen(&self.configstore).await.expect("an address")]
    }

    /// Makes a producer at the configstore, and answers the working tree of its `dev`.
    pub(crate) async fn create(&self, name: &str) -> Clone {
        let request = reqwest::Client::new().post(format!("{}/producers", self.configstore));
        let body = json!({"id": name}).to_string();
        let answer = request.header("content-type", "application/json").body(body).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        answer.unwrap_or_else(|error| panic!("create {name}: {error}"));
        Git::new().init(&format!("{}/customer-{name}/dev.git", self.git_api)).await
    }

    /// Deletes a git user with its repositories.
    pub(crate) async fn delete_user(&self, name: &str) {
        self.host.delete_user(&user(name)).await.expect("delete a git user");
    }

    /// Changes a producer as an operator does.
    pub(crate) async fn edit(&self, name: &str, change: &Value) {
        self.ask(name, change).await.expect("edit an LBProducer");
    }

    /// As [`Self::edit`], where the API server may refuse.
    pub(crate) async fn ask(&self, name: &str, change: &Value) -> kube::Result<()> {
        let api = Api::<LBProducer>::all(self.client.clone());
        api.patch(name, &PatchParams::default(), &Patch::Merge(change)).await.map(drop)
    }

    /// A producer's status; `None` where there is no such producer.
    pub(crate) async fn status(&self, name: &str) -> Option<LBProducerStatus> {
        let api = Api::<LBProducer>::all(self.client.clone());
        api.get_opt(name).await.expect("read an LBProducer").map(|found| found.status.unwrap_or_default())
    }

    /// What stands of a producer.
    pub(crate) async fn snapshot(&self, name: &str) -> Snapshot {
        Snapshot::take(&self.client, name).await.expect("list what stands")
    }

    /// What stands of the producer whose life it is, and what the Actualizer says of itself.
    pub(crate) async fn stands(&self) -> Snapshot {
        self.snapshot(PRODUCER).await.with_own(&self.client).await.expect("read what it says of itself")
    }

    /// Removes everything of the producer, after a run that failed.
    pub(crate) async fn clear(&self) {
        for kept in self.kept.lock().await.drain(..) {
            kept.stop().await;
        }
        self.cluster.set_full(false).await;
        for border in Border::ALL {
            let proxy = self.side.proxy(border);
            proxy.arm(Counting::default(), None);
            proxy.refuse(None);
            proxy.flow();
        }
        if self.host.user(&user(PRODUCER)).await.expect("ask the git host").is_some() {
            self.delete_user(PRODUCER).await;
        }
        if self.status(PRODUCER).await.is_some() {
            let confirm = json!({"metadata": {"annotations": {lb_desired::crd::CONFIRM_DELETE: PRODUCER}}});
            self.edit(PRODUCER, &confirm).await;
        }
        eventually("nothing is left of a run that failed", || async {
            let left = self.snapshot(PRODUCER).await;
            left.remove(&self.client).await.map_err(|error| error.to_string())?;
            if left.0.is_empty() { Ok(()) } else { Err(format!("{:?}", left.0.keys())) }
        })
        .await;
    }
}

fn user(name: &str) -> GitUser {
    let name = name.parse().expect("a producer's name");
    GitUser::of("customer".parse().expect("a prefix"), &name)
}

pub(crate) fn base64(text: &str) -> Vec<u8> {
    use k8s_openapi::ByteString;
    let ByteString(bytes) = serde_json::from_value(Value::String(text.to_owned())).expect("base64");
    bytes
}

/// CRDs, and the namespace of producers' objects.
async fn install(cluster: &TestCluster, client: &Client) {
    let mut command = lb_testkit::process::bare(Path::new(env!("CARGO_BIN_EXE_lunchbadger")));
    command.args(["crds", "apply", "--kubeconfig"]).arg(cluster.kubeconfig());
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a thread");
    let output = output.expect("start lunchbadger");
    assert!(output.status.success(), "crds apply: {}", String::from_utf8_lossy(&output.stderr));
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(NAMESPACE.to_owned());
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("create a namespace");
}

/// git-api and configstore, with their base URLs.
async fn services(data: &Path) -> (Arc<Embedded>, String, String) {
    let clock = lb_testkit::clock::system();
    let host =
        Embedded::open(embedded::Settings::new(data.join("git")), clock.clone()).await.expect("a git host");
    let host = Arc::new(host);
    let of = |port: &str| -> std::collections::BTreeMap<String, String> {
        [("AUTH_MODE", "none"), (port, "127.0.0.1:0")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    };
    let (variables, end) = (of("GIT_API_LISTEN"), CancellationToken::new());
    let mut reader = Reader::new(&variables);
    let settings = git_api::Settings::read(&mut reader);
    let settings = reader.finish(settings).expect("settings").0;
    let git =
        git_api::Server::bind(&settings, host.clone(), None, &clock, end.clone()).await.expect("git-api");
    let git_api = url(git.address());
    tokio::spawn(git.run());
    let mut variables = of("CONFIGSTORE_LISTEN");
    variables.insert("GIT_API_URL".to_owned(), git_api.clone());
    let mut reader = Reader::new(&variables);
    let settings = configstore::Settings::read(&mut reader);
    let settings = reader.finish(settings).expect("settings").0;
    let store = configstore::Server::bind(&settings, None, &clock, end).await.expect("configstore");
    let configstore = url(store.address());
    tokio::spawn(store.run());
    (host, git_api, configstore)
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
