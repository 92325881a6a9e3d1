//! LunchBadger, its cluster and its node.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use kube::Client;
use lb_desired::crd::{REVIEWER_ROLE, SERVICE_ACCOUNT};
use lb_testkit::control_plane::{self, ControlPlane};
use lb_testkit::images::Images;
use lb_testkit::node::{ADDRESS, Node, Options, Platform};
use lb_testkit::process::{Cleaner, Supervised, bare};
use lb_testkit::{cluster::User, eventually, free_port};

use crate::producer::Producer;

/// The namespace of every producer's objects.
pub(crate) const NAMESPACE: &str = "customer";

/// The kubeconfig's context of the account that the roles run as.
const CONTEXT: &str = "actualizer";

const LUNCHBADGER: &str = env!("CARGO_BIN_EXE_lunchbadger");

/// Fields are dropped in their order: the roles end before what they work on.
pub(crate) struct World {
    _roles: Supervised,
    pub(crate) git_api: SocketAddr,
    pub(crate) configstore: SocketAddr,
    /// Where Ingresses are served.
    pub(crate) ingress: SocketAddr,
    pub(crate) http: reqwest::Client,
    data: PathBuf,
    // A static is never dropped: this one cleans up when the process ends.
    _cleaner: Option<Cleaner>,
    _node: Node,
    plane: ControlPlane,
}

impl World {
    /// Starts everything.
    pub(crate) async fn start(images: Images) -> Arc<Self> {
        let options =
            control_plane::Options { audit: false, node: true, ..control_plane::Options::default() };
        let plane = ControlPlane::start(options).await.expect("a control plane");
        let (begin, progress) = (Instant::now(), said_with_the_test());
        let node =
            Node::start(&plane, Options { progress: Arc::clone(&progress), ..Options::default() }).await;
        let node = node.expect("a node");
        let client = control_plane::client(&plane.kubeconfig(), User::Admin).await.expect("a client");
        let platform = Platform::start(&node, &client, images, &progress).await;
        let platform = platform.expect("images and a Redis");
        // Pods reach these two, at the machine's address among them.
        let [git_api, configstore] = [free_port(), free_port()].map(|port| SocketAddr::from((ADDRESS, port)));
        let [actualizer, watcher] =
            [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (data, cleaner) =
            Cleaner::named_or_temporary(None, "lunchbadger-pods-").expect("a data directory");
        let mut settings = platform.settings(git_api, configstore);
        for (name, value) in
            [("ACTUALIZER_TARGET_NAMESPACE", NAMESPACE), ("AUTOGATEWAY_ENABLE", "1"), ("RUST_LOG", "info")]
        {
            settings.insert(name.to_owned(), value.to_owned());
        }
        run(&plane, &["crds".to_owned(), "apply".to_owned()]).await;
        kubectl(&plane, &["create", "namespace", NAMESPACE]).await;
        // What producers' pods need must be little.
        let level = "pod-security.kubernetes.io/enforce=restricted";
        kubectl(&plane, &["label", "namespace", NAMESPACE, level]).await;
        grant_rights(&plane, &data, &settings).await;
        let roles = start_roles(&plane, &data, [git_api, configstore, actualizer, watcher], &settings);
        let http = lb_testkit::http_client().expect("a client");
        let ready = format!("http://{actualizer}/ready");
        eventually("LunchBadger is ready", || async {
            let answer = http.get(&ready).send().await.map_err(|error| error.to_string())?;
            if answer.status().is_success() { Ok(()) } else { Err(answer.text().await.unwrap_or_default()) }
        })
        .await;
        println!("node, images and LunchBadger started in {} ms", begin.elapsed().as_millis());
        let ingress = node.ingress().into();
        Arc::new(Self {
            _roles: roles,
            git_api,
            configstore,
            ingress,
            http,
            data,
            _cleaner: cleaner,
            _node: node,
            plane,
        })
    }

    /// A client of the test's own runtime: a connection dies with the runtime that made it.
    pub(crate) async fn client(&self) -> Client {
        control_plane::client(&self.plane.kubeconfig(), User::Admin).await.expect("a client")
    }

    /// Runs `lunchbadger` as the operator, and answers what it printed.
    pub(crate) async fn run(&self, arguments: &[&str]) -> String {
        let token = self.data.join("operator.token");
        let options = [
            format!("--git-api-url=http://{}", self.git_api),
            format!("--configstore-url=http://{}", self.configstore),
            format!("--token-file={}", token.display()),
        ];
        let all: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).chain(options).collect();
        run(&self.plane, &all).await
    }

    /// Runs `kubectl`, and answers what it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&self.plane, arguments).await
    }

    /// As [`Self::kubectl`], whatever becomes of it.
    pub(crate) async fn try_kubectl(&self, arguments: &[&str]) -> std::process::Output {
        output(kubectl_command(&self.plane, arguments)).await
    }

    /// Makes a producer whose name begins with `prefix`.
    pub(crate) async fn producer(self: &Arc<Self>, prefix: &str) -> Producer {
        Producer::create(Arc::clone(self), lb_testkit::unique(prefix)).await
    }

    /// The end of the roles' log.
    pub(crate) fn log(&self) -> String {
        let text = std::fs::read_to_string(self.data.join("lunchbadger.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

/// Lines stand in the output of the test that came first.
fn said_with_the_test() -> lb_testkit::Progress {
    let begin = Instant::now();
    Arc::new(move |line| println!("[{:>5} ms] {line}", begin.elapsed().as_millis()))
}

/// Makes the account that the roles run as, with the rights that `lunchbadger rights` prints and no more; one process has
/// one account, which reviews tokens, too.
async fn grant_rights(plane: &ControlPlane, data: &Path, settings: &BTreeMap<String, String>) {
    let mut rights = bare(Path::new(LUNCHBADGER));
    rights.arg("rights").envs(settings);
    let file = data.join("rights.yaml");
    std::fs::write(&file, printed(&output(rights).await, &["rights"])).expect("write the rights");
    kubectl(plane, &["apply", "--filename", &file.to_string_lossy()]).await;
    let (role, account) =
        (format!("--clusterrole={REVIEWER_ROLE}"), format!("--serviceaccount=default:{SERVICE_ACCOUNT}"));
    kubectl(plane, &["create", "clusterrolebinding", "all-in-one", &role, &account]).await;
    let token = ["create", "token", SERVICE_ACCOUNT, "--namespace=default", "--duration=24h"];
    let token = format!("--token={}", kubectl(plane, &token).await.trim());
    kubectl(plane, &["config", "set-credentials", CONTEXT, &token]).await;
    let cluster = kubectl(plane, &["config", "view", "--output=jsonpath={.clusters[0].name}"]).await;
    let (cluster, user) = (format!("--cluster={cluster}"), format!("--user={CONTEXT}"));
    kubectl(plane, &["config", "set-context", CONTEXT, &cluster, &user]).await;
}

fn start_roles(
    plane: &ControlPlane,
    data: &Path,
    [git_api, configstore, actualizer, watcher]: [SocketAddr; 4],
    settings: &BTreeMap<String, String>,
) -> Supervised {
    let arguments = [
        "up".to_owned(),
        format!("--kubeconfig={}", plane.kubeconfig().display()),
        format!("--context={CONTEXT}"),
        format!("--data-dir={}", data.display()),
        format!("--git-api-address={git_api}"),
        format!("--configstore-address={configstore}"),
        format!("--actualizer-address={actualizer}"),
        format!("--watcher-address={watcher}"),
    ];
    let log = data.join("lunchbadger.log");
    Supervised::start(Path::new(LUNCHBADGER), arguments, settings, &log).expect("start lunchbadger")
}

async fn run(plane: &ControlPlane, arguments: &[String]) -> String {
    let mut command = bare(Path::new(LUNCHBADGER));
    command.args(arguments).arg(format!("--kubeconfig={}", plane.kubeconfig().display()));
    printed(&output(command).await, arguments)
}

async fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> String {
    printed(&output(kubectl_command(plane, arguments)).await, arguments)
}

fn kubectl_command(plane: &ControlPlane, arguments: &[&str]) -> std::process::Command {
    let mut command = bare(plane.kubectl());
    command.arg("--kubeconfig").arg(plane.kubeconfig()).args(arguments).env("HOME", plane.directory());
    command
}

async fn output(mut command: std::process::Command) -> std::process::Output {
    command.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    output.expect("a thread").expect("start a program")
}

fn printed(output: &std::process::Output, arguments: &[impl std::fmt::Debug]) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{told}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}
