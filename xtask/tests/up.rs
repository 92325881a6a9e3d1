//! `cargo xtask up` and `cargo xtask down`, as a person runs them.
#![expect(clippy::unwrap_used, reason = "a test reports by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::process::{Supervised, bare};
use lb_testkit::tools::Binaries;
use lb_testkit::{eventually, eventually_within};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};

const XTASK: &str = env!("CARGO_BIN_EXE_xtask");
/// `lunchbadger` may have to be compiled first.
const COMPILED: Duration = Duration::from_secs(900);

/// Who runs `up` takes the ports that documentation speaks of, where they are free.
static PORTS: Mutex<()> = Mutex::const_new(());

/// A directory for the system in one that holds nothing else, and what `up` says.
struct Up {
    parent: TempDir,
    log: tempfile::NamedTempFile,
    _ports: MutexGuard<'static, ()>,
}

impl Up {
    async fn new() -> Self {
        // Rather than build a control plane in the middle of a test.
        Binaries::locate().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        Self { parent: tempfile::tempdir().unwrap(), log, _ports: PORTS.lock().await }
    }

    fn directory(&self) -> PathBuf {
        self.parent.path().join("up")
    }

    fn start(&self, arguments: &[&str]) -> Supervised {
        let directory = self.directory();
        let arguments = [&["up", "--no-node", "--data-dir", directory.to_str().unwrap()], arguments].concat();
        Supervised::start(Path::new(XTASK), arguments, &environment(), self.log.path()).unwrap()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    async fn until_it_says(&self, text: &str) {
        eventually_within(text, COMPILED, || async {
            let said = self.said();
            assert!(!said.contains("error: "), "{said}");
            if said.contains(text) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Runs it to its end.
    async fn xtask(&self, arguments: &[&str]) -> (ExitStatus, String) {
        let mut command = bare(Path::new(XTASK));
        command.envs(environment()).args(arguments).arg("--data-dir").arg(self.directory());
        output(command).await
    }

    /// Whether neither a file nor a process is left.
    fn nothing_is_left(&self) -> Result<(), String> {
        let parent = self.parent.path();
        let files: Vec<_> = fs::read_dir(parent).unwrap().flatten().map(|entry| entry.path()).collect();
        let processes: Vec<_> = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(parent.to_str().unwrap()))
            .collect();
        if files.is_empty() && processes.is_empty() {
            Ok(())
        } else {
            Err(format!("{files:?} {processes:?}"))
        }
    }
}

/// What cargo and rustup need to know, and where tools are.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

async fn output(mut command: std::process::Command) -> (ExitStatus, String) {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    (status, String::from_utf8([stdout, stderr].concat()).unwrap())
}

async fn ended(process: &mut Supervised) -> ExitStatus {
    eventually("it ends", || {
        let ended = process.ended().ok_or("it runs");
        async move { ended }
    })
    .await
}

/// What a shell says that fails with the first command that does.
async fn shell(script: &str) -> String {
    let mut shell = bare(Path::new("sh"));
    shell.args(["-euc", script]);
    let (status, said) = output(shell).await;
    assert!(status.success(), "{script}\n{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn what_up_says_can_be_tried_until_ctrl_c_which_leaves_nothing() {
    let up = Up::new().await;
    let mut process = up.start(&[]);
    up.until_it_says("Ctrl-C ends it.").await;

    let (status, said) = up.xtask(&["up", "--no-node"]).await;
    assert!(!status.success() && said.contains("--data-dir takes another directory"), "{said}");

    let said = up.said();
    let (_, to_try) = said.split_once("To try in another terminal").unwrap();
    let commands: Vec<&str> = to_try.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let said = shell(&commands.join("\n")).await;
    for expected in
        ["gateway \"main\" at", "image updated", "lunchbadger.json:2:1: error", "is disabled", "is enabled"]
    {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let known = commands[0];
    let head = shell(&format!("git -C {}/repositories/dev rev-parse HEAD", up.directory().display())).await;
    eventually("all is as before", async || {
        let status = shell(&format!("{known}; lunchbadger status al --output json")).await;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        let dev = &status["producers"][0]["status"]["environments"]["dev"];
        let conditions = dev["conditions"].as_array().unwrap();
        let applied = conditions.iter().any(|c| c["type"] == "Applied" && c["status"] == "True");
        let images = shell(&format!(
            "{known}; kubectl get deployments --namespace customer --output jsonpath='{{.items[*].spec.template.spec.containers[0].image}}'"
        ))
        .await;
        let back = images.split(' ').count() == 3 && !images.contains("mine");
        let done = applied && dev["applied"]["dev"] == head.trim() && back;
        if done { Ok(()) } else { Err(format!("{dev:#} {images}")) }
    })
    .await;

    process.signal("INT").unwrap();
    assert_eq!(ended(&mut process).await.code(), Some(0), "{}", up.said());
    up.nothing_is_left().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn down_removes_what_a_killed_up_left() {
    let up = Up::new().await;
    let mut process = up.start(&[]);
    up.until_it_says("starting lunchbadger up").await;
    process.kill();
    assert!(up.directory().join("cluster/etcd").exists());
    let (status, said) = up.xtask(&["down"]).await;
    assert!(status.success() && said.contains("nothing is left"), "{said}");
    eventually("nothing is left", async || up.nothing_is_left()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_cluster_is_afterwards_what_it_was() {
    let up = Up::new().await;
    let cluster = TestCluster::start(Options::default()).await.unwrap();
    let mine = cluster.namespace("mine").await;
    kubectl(&cluster, &["create", "configmap", "mine", "--from-literal=a=b", "--namespace", &mine]).await;
    let version = async || {
        let path = "--output=jsonpath={.metadata.uid} {.metadata.resourceVersion}";
        kubectl(&cluster, &["get", "configmap", "mine", "--namespace", &mine, path]).await
    };
    let account = format!("ServiceAccount {mine} default");
    let before = eventually("the namespace has what each has", async || {
        let before = objects(&cluster).await;
        if before.contains(&account) { Ok(before) } else { Err(format!("{before:?}")) }
    })
    .await;
    let version_before = version().await;
    let named = ["--kubeconfig", cluster.kubeconfig().to_str().unwrap()];

    let (status, said) = up.xtask(&[&["up", "--once"], &named[..]].concat()).await;
    assert!(status.success() && said.contains("cargo xtask down --kubeconfig"), "{said}");
    up.nothing_is_left().unwrap();
    let during = objects(&cluster).await;
    let made: Vec<&String> = during.difference(&before).collect();
    let expected = |object: &str| {
        object.contains(" lunchbadger-up ")
            || object.ends_with(".lunchbadger.io")
            || ["Namespace <none> lunchbadger-up", "LBProducer <none> al"].contains(&object)
            || object.starts_with("Event default al.")
            || object.starts_with("ValidatingAdmissionPolicy")
                && object.ends_with(" lunchbadger-confirm-delete")
    };
    assert!(
        made.iter().any(|object| *object == "Deployment lunchbadger-up gateway-al-dev-main"),
        "{made:#?}"
    );
    assert!(made.iter().all(|object| expected(object)), "{made:#?}");

    let (status, said) = up.xtask(&[&["down"], &named[..]].concat()).await;
    assert!(status.success(), "{said}");
    assert_eq!(objects(&cluster).await, before);
    assert_eq!(version().await, version_before);
    what_others_made_stays(&up, &cluster, &named).await;
}

async fn what_others_made_stays(up: &Up, cluster: &TestCluster, named: &[&str]) {
    let refused = async |task: &str, why: &str| {
        let (status, said) = up.xtask(&[&[task], named].concat()).await;
        assert!(!status.success() && said.contains(why), "{said}");
    };
    kubectl(cluster, &["create", "namespace", "lunchbadger-up"]).await;
    refused("down", "was not made by `cargo xtask up`").await;

    let label = "app.kubernetes.io/managed-by=cargo-xtask-up";
    kubectl(cluster, &["label", "namespace", "lunchbadger-up", label]).await;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    kubectl(cluster, &["create", "--filename", root.join("deploy/crds.yaml").to_str().unwrap()]).await;
    let manifests = tempfile::tempdir().unwrap();
    let producer = manifests.path().join("producer.json");
    fs::write(
        &producer,
        r#"{"apiVersion": "lunchbadger.io/v1alpha1", "kind": "LBProducer", "metadata": {"name": "bob"}, "spec": {}}"#,
    )
    .unwrap();
    kubectl(cluster, &["wait", "--for=condition=Established", "crd", "lbproducers.lunchbadger.io"]).await;
    kubectl(cluster, &["create", "--filename", producer.to_str().unwrap()]).await;
    for task in ["up", "down"] {
        refused(task, "LunchBadger is in use in the cluster").await;
    }
    kubectl(cluster, &["annotate", "lbproducer", "bob", "lunchbadger.io/confirm-delete=bob"]).await;
    kubectl(cluster, &["delete", "lbproducer", "bob"]).await;

    let (status, said) = up.xtask(&[&["down"], named].concat()).await;
    assert!(status.success() && !said.contains("CustomResourceDefinition"), "{said}");
    let left = objects(cluster).await;
    assert!(!left.contains("Namespace <none> lunchbadger-up"));
    assert!(left.contains("CustomResourceDefinition <none> lbproducers.lunchbadger.io"));
}

async fn kubectl(cluster: &TestCluster, arguments: &[&str]) -> String {
    let output = cluster.kubectl(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All objects but those that the control plane makes for itself, now or later: kind, namespace, name.
async fn objects(cluster: &TestCluster) -> BTreeSet<String> {
    let kinds = kubectl(cluster, &["api-resources", "--verbs=list", "--output=name"]).await;
    let of_server = ["events.events", "ipaddresses", "servicecidrs"];
    let kept = |kind: &&str| !of_server.iter().any(|own| kind.starts_with(own));
    let kinds: Vec<&str> = kinds.lines().filter(kept).collect();
    let columns = "--output=custom-columns=:.kind,:.metadata.namespace,:.metadata.name";
    let all = kubectl(cluster, &["get", &kinds.join(","), "--all-namespaces", "--no-headers", columns]).await;
    let objects = all.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    objects.filter(|object| !object.contains(" kube-")).collect()
}
