//! The command against a running system: `lunchbadger up`, a real API server, the real git client.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::command::{lunchbadger, stderr, stdout};
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::git::{Clone, Git};
use lb_testkit::process::Supervised;
use lb_testkit::{eventually, free_port};
use serde_json::Value;

const NAMESPACE: &str = "customer";

/// Everything that runs for one test.
struct System {
    cluster: TestCluster,
    roles: Supervised,
    git_api: String,
    configstore: String,
    data: tempfile::TempDir,
}

impl System {
    /// A cluster of its own: an Actualizer takes care of every producer of its cluster.
    async fn start() -> Self {
        let cluster = TestCluster::start(Options::default()).await.expect("a cluster");
        let data = tempfile::tempdir().unwrap();
        let address = || format!("127.0.0.1:{}", free_port());
        let (git, store, actualizer) = (address(), address(), address());
        cluster.kubectl(&["create", "namespace", NAMESPACE]).await;
        definitions(&cluster, data.path());
        let arguments = [
            "up".to_owned(),
            format!("--kubeconfig={}", cluster.kubeconfig().display()),
            format!("--data-dir={}", data.path().join("data").display()),
            format!("--git-api-address={git}"),
            format!("--configstore-address={store}"),
            format!("--watcher-address={}", address()),
            format!("--actualizer-address={actualizer}"),
        ];
        let environment = BTreeMap::from([
            ("CONTROL_PLANE_NAMESPACE".to_owned(), NAMESPACE.to_owned()),
            ("RUST_LOG".to_owned(), "info,lb_actualizer=debug".to_owned()),
        ]);
        let program = Path::new(env!("CARGO_BIN_EXE_lunchbadger"));
        let roles = Supervised::start(program, arguments, &environment, &data.path().join("log")).unwrap();
        let url = |address: &str| format!("http://{address}");
        let system = Self { cluster, roles, git_api: url(&git), configstore: url(&store), data };
        eventually("the roles serve", || async {
            let listed = system.run(&["producers", "list"]);
            if listed.status.success() { Ok(()) } else { Err(format!("{}{}", stderr(&listed), system.log())) }
        })
        .await;
        system
    }

    /// What the roles logged.
    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(&[], arguments)
    }

    fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        self.command(variables, arguments).output().unwrap()
    }

    fn command(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
        let mut command = lunchbadger();
        command
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig())
            .args(["--git-api-url", &self.git_api, "--configstore-url", &self.configstore])
            .arg("--token-file")
            .arg(self.data.path().join("data/operator.token"))
            .env("CONTROL_PLANE_NAMESPACE", NAMESPACE)
            .envs(variables.iter().copied())
            .args(arguments);
        command
    }

    /// Runs a command that has to end with this status; its standard output.
    fn expect(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = format!("{arguments:?}:\n{}{}\n{}", stdout(&output), stderr(&output), self.log());
        assert_eq!(output.status.code(), Some(status), "{told}");
        if status == 2 { stderr(&output) } else { stdout(&output) }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", stderr(&output)))
    }

    /// The producer's environment in `status`; null while there is no such producer.
    fn environment(&self, producer: &str) -> Value {
        let all = self.json(&["status"]);
        let producers = all["producers"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = producers.iter().find(|known| known["metadata"]["name"] == producer);
        found.map_or(Value::Null, |known| known["status"]["environments"]["dev"].clone())
    }

    async fn until_applied(&self, producer: &str, commit: &str) {
        eventually("the commit is applied", || async {
            let state = self.environment(producer);
            let applied = condition(&state, "Applied") == "True" && state["applied"]["dev"] == commit;
            if applied { Ok(()) } else { Err(format!("{state:#}\n{}", self.log())) }
        })
        .await;
    }

    /// Names of the producer's objects of some kinds.
    async fn objects(&self, producer: &str, kinds: &str) -> String {
        let selector = format!("producer={producer}");
        let output = self
            .cluster
            .kubectl(&["get", kinds, "--namespace", NAMESPACE, "--selector", &selector, "--output=name"])
            .await;
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    }

    /// Pushes the example's repositories as the producer of the example.
    async fn push_example(&self, git: &Git) -> (Clone, String) {
        let mut pushed = Vec::new();
        for repo in ["functions", "dev"] {
            let clone = git.init(&format!("{}/customer-al/{repo}.git", self.git_api)).await;
            clone.copy_from(&example().join(repo));
            let (commit, _) = clone.commit_and_push(&format!("Begin {repo}")).await;
            pushed.push((clone, commit));
        }
        pushed.pop().unwrap()
    }
}

/// Without the definitions nothing starts, and it says what to do; applying them twice is applying them.
fn definitions(cluster: &TestCluster, data: &Path) {
    let run = |arguments: &[&str]| {
        lunchbadger().arg("--kubeconfig").arg(cluster.kubeconfig()).args(arguments).output().unwrap()
    };
    let refused = run(&["up", "--data-dir", data.join("unused").to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("crds apply"), "{}", stderr(&refused));
    for _ in 0..2 {
        let applied = run(&["crds", "apply"]);
        assert_eq!(applied.status.code(), Some(0), "{}", stderr(&applied));
        assert!(stdout(&applied).contains("lbproducers.lunchbadger.io is in force"), "{}", stdout(&applied));
        // In force is served: every kind can be listed at once.
        assert!(stderr(&run(&["why", "example.com"])).contains("nothing of ours"));
        assert_eq!(run(&["status"]).status.code(), Some(0));
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/al")
}

fn condition<'a>(of: &'a Value, kind: &str) -> &'a str {
    let conditions = of["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().find(|c| c["type"] == kind).and_then(|c| c["status"].as_str()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_from_its_creation_to_its_purge() {
    let system = System::start().await;
    assert!(system.expect(2, &["status", "al"]).contains("producers list"));
    let created = system.expect(0, &["producers", "create", "al"]);
    assert!(created.contains(&format!("git clone {}/customer-al/dev.git", system.git_api)), "{created}");
    let token = system.expect(0, &["producers", "token", "al"]);
    let git = Git::new().with_token("customer-al", token.trim());
    let (dev, first) = system.push_example(&git).await;
    system.until_applied("al", &first).await;

    reading(&system, &first);
    brake(&system).await;
    differences(&system);
    let second = why(&system, &dev, &first).await;
    reconcile(&system, &second);
    switches(&system, &second).await;
    purge(&system).await;
    ending(system).await;
}

fn reading(system: &System, commit: &str) {
    let list = system.expect(0, &["producers", "list"]);
    assert!(list.contains("customer-al") && list.contains("dev, functions"), "{list}");
    assert!(system.expect(0, &["producers", "show", "al"]).contains("access        enabled"));
    let overview = system.expect(0, &["status"]);
    assert!(overview.contains(&commit[..10]), "{overview}");
    let detail = system.expect(0, &["status", "al"]);
    for expected in ["lbgateway/al-dev-main", "lbworkspace/al-dev", "lbfunction/al-dev-hello", "Applied"] {
        assert!(detail.contains(expected), "{expected}: {detail}");
    }
    assert_eq!(system.expect(0, &["status", "--findings"]), "");
}

/// In a namespace without an Actualizer, so that the state is the test's.
async fn brake(system: &System) {
    assert_eq!(system.expect(0, &["brake", "show"]), "the brake holds nothing\n");
    let elsewhere = system.run_with(&[("CONTROL_PLANE_NAMESPACE", "elsewhere")], &["brake", "show"]);
    assert!(stderr(&elsewhere).contains("CONTROL_PLANE_NAMESPACE"), "{}", stderr(&elsewhere));
    assert!(system.expect(2, &["brake", "release", "0123456789abcdef"]).contains("nothing to release"));
    let state = r#"{"executed":{},"held":{"al-dev":{"at":0,"objects":12,"will":"Platform"}},"released":[]}"#;
    system.cluster.kubectl(&["create", "namespace", "braked"]).await;
    let literal = format!("--from-literal=state.json={state}");
    let made = system
        .cluster
        .kubectl(&["create", "configmap", "lunchbadger-brake", "--namespace=braked", &literal])
        .await;
    assert!(made.status.success(), "{}", stderr(&made));
    let run = |arguments: &[&str]| system.run_with(&[("CONTROL_PLANE_NAMESPACE", "braked")], arguments);
    let shown = run(&["brake", "show"]);
    assert_eq!(shown.status.code(), Some(1));
    assert!(stdout(&shown).contains("al-dev  12"), "{}", stdout(&shown));
    let digest = stdout(&shown).trim().rsplit(' ').next().unwrap().to_owned();
    let other = run(&["brake", "release", "0123456789abcdef"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains(&digest), "{}", stderr(&other));
    assert_eq!(run(&["brake", "release", &digest]).status.code(), Some(0));
    let path = "--output=jsonpath={.data.release}";
    let noted =
        system.cluster.kubectl(&["get", "configmap", "lunchbadger-brake", "--namespace=braked", path]).await;
    assert_eq!(stdout(&noted), digest);
}

fn differences(system: &System) {
    assert_eq!(system.expect(0, &["diff", "al"]), "");
    let output = system.run_with(&[("GATEWAY_VERSION", "1.16.11")], &["diff", "al"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = stdout(&output);
    assert!(told.starts_with("change Deployment customer/gateway-al-dev-main\n"), "{told}");
    let images: Vec<&str> =
        told.lines().filter(|line| line.starts_with(['+', '-']) && line.contains("image:")).collect();
    assert!(images.iter().any(|line| line.starts_with('+') && line.ends_with(":1.16.11")), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("change ")).count(), 1, "{told}");
}

/// The gateway comes from the first commit, also after a second one that changes something else.
async fn why(system: &System, dev: &Clone, first: &str) -> String {
    let file = "server/datasources.json";
    dev.write(file, dev.read(file).replace("memory", "transient"));
    let (second, _) = dev.commit_and_push("Keep cars elsewhere").await;
    system.until_applied("al", &second).await;
    for subject in ["main-al-dev.lunchbadger.io", "deployment/gateway-al-dev-main", "lbgateway/al-dev-main"] {
        let answer = system.json(&["why", subject]);
        assert_eq!(answer["child"]["name"], "al-dev-main", "{subject}: {answer:#}");
        assert_eq!(answer["entity"]["place"]["file"], "dev/lunchbadger.json", "{subject}: {answer:#}");
        assert_eq!(answer["entity"]["place"]["line"], 8, "{subject}: {answer:#}");
        assert_eq!(answer["commit"]["id"], first, "{subject}: {answer:#}");
    }
    let told = system.expect(0, &["why", "al-dev.lunchbadger.io"]);
    assert!(told.contains("lbworkspace/al-dev") && told.contains("dev/lunchbadger.json"), "{told}");
    let told = system.expect(0, &["why", "lbfunction/al-dev-hello"]);
    assert!(told.contains("functions/hello/serverless.yml") && told.contains("Begin functions"), "{told}");
    assert!(told.contains("Al <al@example.com>"), "{told}");
    assert!(system.expect(2, &["why", "example.com"]).contains("nothing of ours"));
    second
}

fn reconcile(system: &System, commit: &str) {
    assert!(system.expect(0, &["reconcile", "al"]).contains(&commit[..10]));
    system.expect(0, &["producers", "suspend", "al"]);
    assert!(system.expect(2, &["reconcile", "al"]).contains("resume"));
    system.expect(0, &["producers", "resume", "al"]);
    assert!(system.expect(2, &["reconcile", "nobody"]).contains("producers list"));
}

async fn switches(system: &System, commit: &str) {
    assert!(system.expect(2, &["producers", "purge", "al", "--yes"]).contains("producers disable al"));
    let credentials = system.objects("al", "secrets").await;
    assert!(credentials.contains("secret/credentials-al-dev"), "{credentials}");
    let pictures = system.data.path().join("pictures");
    let mut watching = system.command(&[], &["status", "--watch"]);
    let mut watching = watching.stdout(fs::File::create(&pictures).unwrap()).spawn().unwrap();
    let shows = |state: &'static str| {
        let pictures = &pictures;
        eventually("the watcher shows it", move || async move {
            let shown = fs::read_to_string(pictures).unwrap();
            if shown.contains(state) { Ok(()) } else { Err(shown) }
        })
    };
    shows("Running").await;
    system.expect(0, &["producers", "disable", "al"]);
    eventually("nothing but credentials is left", || async {
        let left = system
            .objects("al", "deployments,services,ingresses,serviceaccounts,networkpolicies,secrets")
            .await;
        if left == "secret/credentials-al-dev\n" { Ok(()) } else { Err(left) }
    })
    .await;
    shows("Disabled").await;
    assert_eq!(
        system.expect(0, &["diff", "al"]),
        "",
        "what is disabled is to have nothing, whatever git says"
    );
    watching.kill().unwrap();
    watching.wait().unwrap();
    assert!(system.expect(0, &["producers", "show", "al"]).contains("disabled by an operator"));
    system.expect(0, &["producers", "enable", "al"]);
    eventually("its objects are back", || async {
        let deployments = system.objects("al", "deployments").await;
        if deployments.contains("gateway-al-dev-main") { Ok(()) } else { Err(deployments) }
    })
    .await;
    system.until_applied("al", commit).await;
}

async fn purge(system: &System) {
    system.expect(0, &["producers", "disable", "al"]);
    assert!(system.expect(2, &["producers", "purge", "al"]).contains("--yes"), "nobody can be asked");
    assert!(system.expect(0, &["producers", "purge", "al", "--yes"]).contains("removed"));
    assert_eq!(system.objects("al", "deployments,services,secrets").await, "");
    assert!(system.expect(0, &["producers", "list"]).contains("customer-al"), "git is left alone");
}

async fn ending(mut system: System) {
    system.roles.signal("TERM").unwrap();
    let status = lb_testkit::eventually_within("the roles end", Duration::from_secs(20), || {
        let ended = system.roles.ended().ok_or("they run");
        async move { ended }
    })
    .await;
    assert_eq!(status.code(), Some(0), "{}", system.log());
}
