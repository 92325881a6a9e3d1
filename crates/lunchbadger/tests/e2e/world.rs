//! A whole LunchBadger on a control plane of its own: the real binary, the real git client, the real API server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, ObjectMeta};
use kube::{Client, Resource, ResourceExt};
use lb_desired::crd::{
    LBFunction, LBGateway, LBProducer, LBWorkspace, REVIEWER_ROLE, SERVICE_ACCOUNT, WATCHER_ACCOUNT,
};
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::git::{Clone, Git};
use lb_testkit::process::Supervised;
use lb_testkit::{eventually, eventually_within, free_port, unique};
use serde_json::Value;
use tempfile::TempDir;

use crate::proxy::Proxy;

/// The kubeconfig's context of the account that the platform runs as.
const CONTEXT: &str = "actualizer";
/// The one of the account that a watcher of its own runs as.
const WATCHER_CONTEXT: &str = "watcher";
/// The namespace of every producer's objects.
pub(crate) const NAMESPACE: &str = "customer";

/// One control plane and one LunchBadger.
pub(crate) struct World {
    pub(crate) cluster: TestCluster,
    pub(crate) data: TempDir,
    pub(crate) git_api: String,
    pub(crate) configstore: String,
    pub(crate) watcher: String,
    pub(crate) actualizer: String,
    settings: std::sync::Mutex<BTreeMap<String, String>>,
    /// Where the Actualizer finds git-api and the configstore, where that is through proxies.
    proxies: Option<[Proxy; 2]>,
    processes: tokio::sync::Mutex<Vec<Supervised>>,
}

/// A producer with its two clones.
pub(crate) struct Producer {
    pub(crate) name: String,
    pub(crate) dev: Clone,
    pub(crate) functions: Clone,
}

/// uid and resourceVersion of everything that a producer has, by kind and name.
pub(crate) type Versions = BTreeMap<String, (String, String)>;

impl World {
    /// Starts everything in one process, with these settings over the tests' own.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Arc<Self> {
        let world = Self::prepare(settings).await;
        world.resume().await;
        Arc::new(world)
    }

    /// Starts each role in a process of its own, and the Actualizer behind proxies of git-api and configstore.
    pub(crate) async fn start_apart(settings: &[(&str, &str)]) -> (Arc<Self>, [Proxy; 2]) {
        let mut world = Self::prepare(settings).await;
        let proxies = [Proxy::start(&world.git_api), Proxy::start(&world.configstore)];
        world.proxies = Some(proxies.clone());
        let file = |name: &str, text: &str| {
            std::fs::write(world.data.path().join(name), text).expect("write a token");
        };
        file("operator.token", "operator-token-of-the-tests");
        file("system.token", "system-token-of-the-tests");
        file(
            "tokens",
            "operator-token-of-the-tests,operator,operator\nsystem-token-of-the-tests,lunchbadger,system\n",
        );
        world.resume().await;
        (Arc::new(world), proxies)
    }

    async fn prepare(settings: &[(&str, &str)]) -> Self {
        let cluster = TestCluster::start(Options::default()).await.expect("a control plane");
        let ports: [u16; 4] = std::array::from_fn(|_| free_port());
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in
            [("SLEEP_TIME", "250"), ("ROSTER_INTERVAL", "1000"), ("RUST_LOG", "info")].iter().chain(settings)
        {
            all.insert((*name).to_owned(), (*value).to_owned());
        }
        let world = Self {
            data: tempfile::tempdir().expect("a data directory"),
            git_api: url(ports[0]),
            configstore: url(ports[1]),
            watcher: url(ports[2]),
            actualizer: url(ports[3]),
            settings: std::sync::Mutex::new(all),
            proxies: None,
            processes: tokio::sync::Mutex::default(),
            cluster,
        };
        for arguments in [vec!["crds", "apply"]] {
            let output = world.run(&arguments).await;
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        let created = world.cluster.kubectl(&["create", "namespace", NAMESPACE]).await;
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        world.grant_rights().await;
        world
    }

    /// Makes the accounts that the platform runs as, with the rights that `lunchbadger rights` prints and no more: from
    /// here on the context `actualizer` of the kubeconfig is the Actualizer's.
    async fn grant_rights(&self) {
        let mut command = lb_testkit::process::bare(Path::new(env!("CARGO_BIN_EXE_lunchbadger")));
        let rights = command.arg("rights").envs(&*self.settings.lock().expect("the settings")).output();
        std::fs::write(self.data.path().join("rights.yaml"), rights.expect("print the rights").stdout)
            .expect("write the rights");
        let kubectl = async |arguments: &[&str]| {
            let output = self.cluster.kubectl(arguments).await;
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{arguments:?}: {told}");
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        self.restore_rights().await;
        // One process has one account, which reviews tokens, too.
        let role = format!("--clusterrole={REVIEWER_ROLE}");
        let account = format!("--serviceaccount=default:{SERVICE_ACCOUNT}");
        kubectl(&["create", "clusterrolebinding", "all-in-one", &role, &account]).await;
        let template = {
            let settings = self.settings.lock().expect("the settings");
            settings.get("ACTUALIZER_TARGET_NAMESPACE").is_some_and(|target| target.contains('$'))
        };
        if template {
            let role = format!("--clusterrole={WATCHER_ACCOUNT}");
            kubectl(&["create", "clusterrolebinding", "watcher", &role, &account]).await;
        } else {
            let (role, namespace) = (format!("--role={WATCHER_ACCOUNT}"), format!("--namespace={NAMESPACE}"));
            kubectl(&["create", "rolebinding", "watcher", &role, &account, &namespace]).await;
        }
        let cluster = kubectl(&["config", "view", "--output=jsonpath={.clusters[0].name}"]).await;
        let cluster = format!("--cluster={cluster}");
        for (context, account) in [(CONTEXT, SERVICE_ACCOUNT), (WATCHER_CONTEXT, WATCHER_ACCOUNT)] {
            let token = kubectl(&["create", "token", account, "--namespace=default", "--duration=24h"]).await;
            kubectl(&["config", "set-credentials", context, &format!("--token={token}")]).await;
            kubectl(&["config", "set-context", context, &cluster, &format!("--user={context}")]).await;
        }
    }

    /// Makes the rights anew that went with a namespace.
    pub(crate) async fn restore_rights(&self) {
        let file = self.data.path().join("rights.yaml").to_string_lossy().into_owned();
        let applied = self.cluster.kubectl(&["apply", "-f", &file]).await;
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }

    /// Starts LunchBadger and waits until it is ready.
    pub(crate) async fn resume(&self) {
        self.launch().await;
        eventually("LunchBadger is ready", || async {
            let answer = http_get(&format!("{}/ready", self.actualizer)).await?;
            if answer.contains("\"ready\":true") { Ok(()) } else { Err(answer + &self.log().await) }
        })
        .await;
    }

    /// Starts LunchBadger.
    pub(crate) async fn launch(&self) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let kubeconfig = format!("--kubeconfig={}", text(self.cluster.kubeconfig()));
        let mut processes = self.processes.lock().await;
        if self.proxies.is_none() {
            let arguments = [
                "up".to_owned(),
                kubeconfig,
                format!("--context={CONTEXT}"),
                format!("--data-dir={}", text(self.data.path())),
                format!("--git-api-address={}", address(&self.git_api)),
                format!("--configstore-address={}", address(&self.configstore)),
                format!("--watcher-address={}", address(&self.watcher)),
                format!("--actualizer-address={}", address(&self.actualizer)),
            ];
            processes.push(self.spawn(&arguments, &[]));
            return;
        }
        let file = |name: &str| text(&self.data.path().join(name));
        let common = [("AUTH_TOKENS_FILE", file("tokens")), ("SYSTEM_TOKEN_FILE", file("system.token"))];
        let listen = ("GIT_API_LISTEN", address(&self.git_api));
        let git = [listen, ("GIT_DATA_DIR", file("git"))];
        let store =
            [("CONFIGSTORE_LISTEN", address(&self.configstore)), ("GIT_API_URL", self.git_api.clone())];
        processes.push(self.spawn(&["git-api".to_owned()], &[&common[..], &git].concat()));
        processes.push(self.spawn(&["configstore".to_owned()], &[&common[..], &store].concat()));
        drop(processes);
        self.launch_actualizer().await;
    }

    /// Starts an Actualizer, where roles run apart.
    pub(crate) async fn launch_actualizer(&self) {
        self.launch_replica(address(&self.actualizer)).await;
    }

    /// Starts another one beside it, and answers the number of the one before.
    pub(crate) async fn launch_standby(&self) -> usize {
        self.launch_replica(format!("127.0.0.1:{}", free_port())).await;
        self.processes.lock().await.len() - 2
    }

    /// Sends a signal to a process.
    pub(crate) async fn signal(&self, process: usize, signal: &str) {
        self.processes.lock().await[process].signal(signal).expect("send a signal");
    }

    /// Waits until a process has ended.
    pub(crate) async fn ended(&self, process: usize) {
        eventually("the process ends", || async {
            let ended = self.processes.lock().await[process].ended();
            ended.map(drop).ok_or("it runs")
        })
        .await;
    }

    async fn launch_replica(&self, listen: String) {
        let [git_api, configstore] = self.proxies.as_ref().expect("roles run apart");
        let kubeconfig = format!("--kubeconfig={}", self.cluster.kubeconfig().to_string_lossy());
        let context = format!("--context={CONTEXT}");
        let file = |name: &str| self.data.path().join(name).to_string_lossy().into_owned();
        let settings = [
            ("AUTH_TOKENS_FILE", file("tokens")),
            ("SYSTEM_TOKEN_FILE", file("system.token")),
            ("ACTUALIZER_ADDRESS", listen),
            ("GIT_API_URL", git_api.url.clone()),
            ("CONFIGSTORE_URL", configstore.url.clone()),
        ];
        self.processes
            .lock()
            .await
            .push(self.spawn(&["actualizer".to_owned(), kubeconfig, context], &settings));
    }

    /// Starts a watcher of its own, with the rights of its account and no more; it ends when it is dropped.
    pub(crate) fn launch_watcher(&self, listen: &str) -> Supervised {
        let kubeconfig = format!("--kubeconfig={}", self.cluster.kubeconfig().to_string_lossy());
        let file = |name: &str| self.data.path().join(name).to_string_lossy().into_owned();
        let settings = [
            ("AUTH_TOKENS_FILE", file("tokens")),
            ("SYSTEM_TOKEN_FILE", file("system.token")),
            ("WATCHER_LISTEN", address(listen)),
            ("GIT_API_URL", self.git_api.clone()),
        ];
        let arguments = ["watcher".to_owned(), kubeconfig, format!("--context={WATCHER_CONTEXT}")];
        self.spawn_logged("watcher.log", &arguments, &settings)
    }

    fn spawn(&self, arguments: &[String], more: &[(&str, String)]) -> Supervised {
        self.spawn_logged("lunchbadger.log", arguments, more)
    }

    fn spawn_logged(&self, log: &str, arguments: &[String], more: &[(&str, String)]) -> Supervised {
        let mut environment = self.settings.lock().expect("the settings").clone();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let log = self.data.path().join(log);
        let program = Path::new(env!("CARGO_BIN_EXE_lunchbadger"));
        Supervised::start(program, arguments, &environment, &log).expect("start lunchbadger")
    }

    /// Changes a setting, for whatever is started from here on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.settings.lock().expect("the settings").insert(name.to_owned(), value.to_owned());
    }

    /// Kills LunchBadger; its data stays.
    pub(crate) async fn kill(&self) {
        for mut process in self.processes.lock().await.drain(..) {
            process.kill();
        }
    }

    /// Kills the last process that was started: the Actualizer, where roles run apart.
    pub(crate) async fn kill_last(&self) {
        if let Some(mut process) = self.processes.lock().await.pop() {
            process.kill();
        }
    }

    /// All of the log.
    pub(crate) fn whole_log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("lunchbadger.log")).expect("read the log")
    }

    /// The end of the log.
    pub(crate) async fn log(&self) -> String {
        self.processes.lock().await.first().map(Supervised::log_tail).unwrap_or_default()
    }

    /// Waits until the Actualizer has written down that both services fail, or that both answer.
    pub(crate) async fn upstream(&self, fails: bool) {
        let word = if fails { "failing since" } else { "answers since" };
        eventually(&format!("both services: {word}"), || async {
            let map = self
                .cluster
                .kubectl(&["get", "configmap", "lunchbadger-status", "-o", "jsonpath={.data}"])
                .await;
            let text = String::from_utf8_lossy(&map.stdout).into_owned();
            if text.matches(word).count() == 2 { Ok(()) } else { Err(text + &self.log().await) }
        })
        .await;
    }

    /// Runs a command of `lunchbadger` as the operator.
    pub(crate) async fn run(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = lb_testkit::process::bare(Path::new(env!("CARGO_BIN_EXE_lunchbadger")));
        command
            .args(arguments)
            .arg("--kubeconfig")
            .arg(self.cluster.kubeconfig())
            .args(["--git-api-url", &self.git_api, "--configstore-url", &self.configstore])
            .arg("--token-file")
            .arg(self.data.path().join("operator.token"))
            .stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output())
            .await
            .expect("a thread")
            .expect("start lunchbadger")
    }

    /// As [`Self::run`], for a command that must succeed: what it printed.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lunchbadger {arguments:?}: {}\n{stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A token of the git host for a producer, by which its people come in.
    pub(crate) async fn token_of(&self, name: &str) -> String {
        let told = self.ok(&["producers", "token", name]).await;
        told.split_whitespace().last().expect("a token").to_owned()
    }

    /// Makes a producer whose name begins with `prefix`, and clones its repositories.
    pub(crate) async fn producer(&self, prefix: &str) -> Producer {
        self.producer_named(unique(prefix)).await
    }

    /// Makes the producer of this name, and clones its repositories.
    pub(crate) async fn producer_named(&self, name: String) -> Producer {
        self.ok(&["producers", "create", &name]).await;
        let token = self.token_of(&name).await;
        let git = Git::new().with_token(&format!("customer-{name}"), &token);
        let url = |repo: &str| format!("{}/customer-{name}/{repo}.git", self.git_api);
        Producer { dev: git.init(&url("dev")).await, functions: git.init(&url("functions")).await, name }
    }

    /// A client of the test's own runtime: a connection dies with the runtime that made it.
    async fn client(&self) -> Client {
        self.cluster.client().await
    }

    /// Makes many producers without projects at the configstore, and waits until all of them are applied.
    pub(crate) async fn create_all(&self, names: &[String]) {
        let token = std::fs::read_to_string(self.data.path().join("operator.token")).expect("a token");
        let client = reqwest::Client::new();
        for name in names {
            let body = serde_json::json!({"id": name}).to_string();
            let request = client.post(format!("{}/producers", self.configstore)).bearer_auth(token.trim());
            let answer = request.header("content-type", "application/json").body(body).send().await;
            let answer = answer.and_then(reqwest::Response::error_for_status);
            answer.unwrap_or_else(|error| panic!("create {name}: {error}"));
        }
        eventually_within("all are applied", Duration::from_secs(120), || async {
            let all = Api::<LBProducer>::all(self.client().await).list(&ListParams::default()).await;
            let all = all.map_err(|error| error.to_string())?;
            let is_applied = |producer: &&LBProducer| {
                let conditions = producer.status.iter().flat_map(|status| &status.conditions);
                conditions.into_iter().any(|c| c.type_ == "Applied" && c.status == "True")
            };
            let ours = all.iter().filter(|producer| names.contains(&producer.name_any()));
            let applied = ours.filter(is_applied).count();
            if applied == names.len() { Ok(()) } else { Err(format!("{applied}\n{}", self.log().await)) }
        })
        .await;
    }

    /// What a service answers to a GET as the operator.
    pub(crate) async fn get_as_operator(&self, url: &str) -> Value {
        let token = std::fs::read_to_string(self.data.path().join("operator.token")).expect("a token");
        let answer = reqwest::Client::new().get(url).bearer_auth(token.trim()).send().await;
        let text = answer.expect("reach the service").text().await.expect("a whole answer");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}"))
    }

    /// A producer's bare repository in the embedded host's data directory.
    pub(crate) fn repository(&self, name: &str, repo: &str) -> PathBuf {
        let user = self.data.path().join("git/users").join(format!("customer-{name}"));
        user.join("repos").join(repo).join("git")
    }

    /// The producer's resource.
    pub(crate) async fn resource(&self, name: &str) -> Option<LBProducer> {
        Api::<LBProducer>::all(self.client().await).get_opt(name).await.expect("read an LBProducer")
    }

    /// Changes fields of a producer's spec, as an operator with kubectl would.
    pub(crate) async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(serde_json::json!({"spec": spec}));
        let api = Api::<LBProducer>::all(self.client().await);
        api.patch(name, &PatchParams::default(), &patch).await.expect("change the spec");
    }

    /// Waits until the newest commits of a producer are applied.
    pub(crate) async fn applied(&self, producer: &Producer) {
        let commit = producer.dev.run(&["rev-parse", "HEAD"]).await;
        self.applied_at(&producer.name, &commit).await;
    }

    /// Waits until this commit of `dev` is applied.
    pub(crate) async fn applied_at(&self, name: &str, commit: &str) {
        eventually(&format!("{name} is applied at {commit}"), || async {
            let resource = self.resource(name).await.ok_or("no LBProducer")?;
            let status = resource.status.clone().unwrap_or_default();
            let environment = status.environments.get("dev").cloned().unwrap_or_default();
            let at = environment.applied.clone().and_then(|revision| revision.dev);
            let standing = environment.conditions.iter().any(|c| c.type_ == "Applied" && c.status == "True");
            if at.as_deref() == Some(commit) && standing {
                return Ok(());
            }
            Err(format!("{status:#?}\n{}", self.log().await))
        })
        .await;
        self.rolled_out(name).await;
    }

    /// Waits until the controllers have nothing more to note in a producer's Deployments, so that their versions rest.
    /// Pods of the previous roll-out stay, because no new one serves.
    async fn rolled_out(&self, name: &str) {
        let api = Api::<Deployment>::namespaced(self.client().await, &self.namespace(name));
        let of = ListParams::default().labels(&format!("producer={name}"));
        // Among a hundred producers the controllers, which limit themselves, take over half a minute.
        let patience = Duration::from_secs(180);
        eventually_within(
            &format!("Deployments of {name} are rolled out, but for pods"),
            patience,
            || async {
                for deployment in api.list(&of).await.map_err(|error| error.to_string())? {
                    let status = deployment.status.clone().unwrap_or_default();
                    let seen = status.observed_generation == deployment.metadata.generation;
                    if !seen || status.updated_replicas != deployment.spec.replicas {
                        return Err(format!("{}: {status:?}", deployment.name_any()));
                    }
                }
                Ok(())
            },
        )
        .await;
    }

    /// Waits until a condition of the producer's environment (or of the producer) has this status, and returns its
    /// reason and message.
    pub(crate) async fn condition(&self, name: &str, kind: &str, status: &str) -> (String, String) {
        eventually(&format!("{name}: {kind} is {status}"), || async {
            let resource = self.resource(name).await.ok_or("no LBProducer")?;
            let all = resource.status.unwrap_or_default();
            let of_environments = all.environments.values().flat_map(|environment| &environment.conditions);
            let found =
                all.conditions.iter().chain(of_environments).find(|c| c.type_ == kind && c.status == status);
            match found {
                Some(condition) => Ok((condition.reason.clone(), condition.message.clone())),
                None => Err(format!("{all:#?}\n{}", self.log().await)),
            }
        })
        .await
    }

    /// The namespace of a producer's objects.
    pub(crate) fn namespace(&self, producer: &str) -> String {
        let settings = self.settings.lock().expect("the settings");
        let template = settings.get("ACTUALIZER_TARGET_NAMESPACE").map_or(NAMESPACE, String::as_str);
        template.replace("$PRODUCER", producer)
    }

    /// Everything that stands of a producer, but for Events and what controllers made.
    pub(crate) async fn versions(&self, name: &str) -> Versions {
        self.versions_in(&self.namespace(name), &format!("producer={name}")).await
    }

    /// Everything that stands in a namespace with labels that match.
    pub(crate) async fn versions_in(&self, namespace: &str, labels: &str) -> Versions {
        let (at, mut all) = ((namespace, labels), Versions::new());
        self.list::<ServiceAccount>("ServiceAccount", at, &mut all).await;
        self.list::<NetworkPolicy>("NetworkPolicy", at, &mut all).await;
        self.list::<Secret>("Secret", at, &mut all).await;
        self.list::<Service>("Service", at, &mut all).await;
        self.list::<Deployment>("Deployment", at, &mut all).await;
        self.list::<Ingress>("Ingress", at, &mut all).await;
        self.list::<ConfigMap>("ConfigMap", at, &mut all).await;
        self.list::<LBWorkspace>("LBWorkspace", at, &mut all).await;
        self.list::<LBGateway>("LBGateway", at, &mut all).await;
        self.list::<LBFunction>("LBFunction", at, &mut all).await;
        all
    }

    async fn list<K>(&self, kind: &str, (namespace, labels): (&str, &str), all: &mut Versions)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + std::fmt::Debug
            + std::clone::Clone
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client().await, namespace);
        let listed = api.list(&ListParams::default().labels(labels)).await.expect("list");
        for object in listed {
            let ObjectMeta { uid, resource_version, .. } = object.meta().clone();
            let key = format!("{kind}/{}", object.name_any());
            all.insert(key, (uid.unwrap_or_default(), resource_version.unwrap_or_default()));
        }
    }

    /// One object of the namespace, as JSON.
    pub(crate) async fn object(&self, kind: &str, name: &str) -> Option<Value> {
        let found = self.api(kind).await.get_opt(name).await.expect("read an object");
        found.map(|object| serde_json::to_value(object).expect("an object is JSON"))
    }

    /// Makes an object in the namespace, as somebody else.
    pub(crate) async fn create(&self, kind: &str, object: &Value) -> Value {
        let object = serde_json::from_value(object.clone()).expect("an object");
        let made = self.api(kind).await.create(&PostParams::default(), &object).await;
        let made = made.unwrap_or_else(|error| panic!("create a {kind}: {error}"));
        serde_json::to_value(made).expect("an object is JSON")
    }

    /// Types and reasons of the Events about an object.
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Vec<(String, String)> {
        let events = Api::<Event>::all(self.client().await).list(&ListParams::default()).await;
        let about = |event: &Event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            regarding.kind.as_deref() == Some(kind) && regarding.name.as_deref() == Some(name)
        };
        let events = events.expect("list Events").into_iter().filter(about);
        events.map(|event| (event.type_.unwrap_or_default(), event.reason.unwrap_or_default())).collect()
    }

    /// Access to objects of a kind by name.
    pub(crate) async fn api(&self, kind: &str) -> Api<DynamicObject> {
        self.api_in(NAMESPACE, kind).await
    }

    /// As [`Self::api`], in a namespace.
    pub(crate) async fn api_in(&self, namespace: &str, kind: &str) -> Api<DynamicObject> {
        let (group, version) = match kind {
            "Deployment" => ("apps", "v1"),
            "RoleBinding" => ("rbac.authorization.k8s.io", "v1"),
            "Ingress" | "NetworkPolicy" => ("networking.k8s.io", "v1"),
            "LBWorkspace" | "LBGateway" | "LBFunction" => ("lunchbadger.io", "v1alpha1"),
            _ => ("", "v1"),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client().await, namespace, &resource)
    }
}

/// Only the names.
pub(crate) fn names(versions: &Versions) -> Vec<&str> {
    versions.keys().map(String::as_str).collect()
}

/// Keys whose versions differ, or that are in one only.
pub(crate) fn changed(before: &Versions, after: &Versions) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

/// The example producer's files, with its name replaced.
pub(crate) fn example(repo: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/al").join(repo)
}

/// How long drift may stand with one producer.
pub(crate) const DRIFT: Duration = Duration::from_secs(2);

fn address(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

async fn http_get(url: &str) -> Result<String, String> {
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}
