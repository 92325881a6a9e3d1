//! A world of its own for each test: an embedded git host behind git-api, a configstore, and al's workspace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lb_git::GitHost;
use lb_git::embedded::{Embedded, Settings as HostSettings};
use lb_git::gitea::{self, Gitea};
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::{GitApi, Permission};
use lb_http::contract::{Timeouts, TokenSource};
use lb_pod::workspace::{App, Server, Settings};
use lb_services::{configstore, git_api};
use lb_testkit::clock::ManualClock;
use lb_testkit::eventually;
use lb_testkit::git::Clone;
use lb_testkit::gitea::Gitea as RealGitea;
use lb_vocab::settings::Reader;
use lb_vocab::{Clock, GitUser, RepoName, Secret};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Static tokens at git-api and configstore; the roles' names are their ends.
const TOKENS: &str = "\
0123456789abcdef-other,customer-bob,user
0123456789abcdef-functions,customer-frank,user
0123456789abcdef-reader,customer-carl,user
0123456789abcdef-writer,customer-dora,user
0123456789abcdef-owner,customer-al,user
0123456789abcdef-admin,customer-erin,user
0123456789abcdef-pod-al,workspace,pod,al-dev
0123456789abcdef-pod-bob,workspace,pod,bob-dev
0123456789abcdef-pod-sls,sls-api,pod,al-dev
0123456789abcdef-system,actualizer,system
0123456789abcdef-operator,root,operator
";

/// Users, in the order of what they may do.
pub(crate) const USERS: [&str; 6] = ["other", "functions", "reader", "writer", "owner", "admin"];

fn static_token(role: &str) -> Secret {
    Secret::new(format!("0123456789abcdef-{role}"))
}

/// The git user of the producer with this name.
pub(crate) fn user(name: &str) -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: name.into() }
}

/// A repository's name.
pub(crate) fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

/// The control plane, until it is dropped.
pub(crate) struct World {
    pub(crate) host: Arc<dyn GitHost>,
    pub(crate) git_api: SocketAddr,
    configstore: SocketAddr,
    environment: BTreeMap<String, String>,
    pub(crate) http: reqwest::Client,
    shutdown: CancellationToken,
    serving: Option<(CancellationToken, JoinHandle<()>)>,
    /// What the workspace's knowledge of permissions ages by.
    pub(crate) clock: ManualClock,
    pub(crate) directory: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// al's workspace, until it is dropped.
pub(crate) struct Pod {
    pub(crate) project_api: SocketAddr,
    pub(crate) workspace_api: SocketAddr,
    pub(crate) supervisor: SocketAddr,
    pub(crate) app: App,
    shutdown: CancellationToken,
    running: Option<JoinHandle<Result<(), lb_pod::PodError>>>,
    http: reqwest::Client,
    tokens: BTreeMap<String, Secret>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    /// The producers al and bob, with al's `dev` readable for carl and writable for dora, and erin's to administer; frank
    /// administers `functions` alone.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = HostSettings::new(directory.path().join("git"));
        let host = Embedded::open(settings, lb_testkit::clock::system()).await.unwrap();
        Self::over(Arc::new(host), directory).await
    }

    /// The same at a Gitea of the caller's own.
    pub(crate) async fn over_gitea(real: &RealGitea) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (url, token) = (real.url().parse().unwrap(), Secret::new(real.admin_token().to_owned()));
        let settings =
            gitea::Settings::new(url, token, "customer".parse().unwrap(), directory.path().join("git"));
        let host = Gitea::open(settings, lb_testkit::clock::system()).await.unwrap();
        Self::over(Arc::new(host), directory).await
    }

    async fn over(host: Arc<dyn GitHost>, directory: TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let system = lb_testkit::clock::system();
        let clock = ManualClock::default();
        clock.set(system.now());
        let address: SocketAddr = format!("127.0.0.1:{}", lb_testkit::free_port()).parse().unwrap();
        let tokens = directory.path().join("tokens");
        std::fs::write(&tokens, TOKENS).unwrap();
        let environment: BTreeMap<String, String> = [
            ("GIT_API_LISTEN", address.to_string()),
            ("GIT_API_URL", format!("http://{address}")),
            ("CONFIGSTORE_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_TOKENS_FILE", tokens.display().to_string()),
            ("AUTH_SIGNING_KEY_FILE", directory.path().join("key.pem").display().to_string()),
            ("SYSTEM_TOKEN", static_token("system").reveal().clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let shutdown = CancellationToken::new();
        let http = lb_testkit::http_client().unwrap();
        let configstore = start_configstore(&environment, &system, &shutdown).await;
        let mut world = Self {
            host,
            git_api: address,
            configstore,
            environment,
            http,
            shutdown,
            serving: None,
            clock,
            directory,
        };
        world.start_git_api().await;
        world.populate().await;
        world
    }

    /// Starts git-api, where it always is.
    pub(crate) async fn start_git_api(&mut self) {
        let mut reader = Reader::new(&self.environment);
        let settings = git_api::Settings::read(&mut reader);
        let (settings, _) = reader.finish(settings).unwrap();
        let shutdown = self.shutdown.child_token();
        let (host, clock) = (Arc::clone(&self.host), lb_testkit::clock::system());
        let server = eventually("the port is free", || {
            git_api::Server::bind(&settings, Arc::clone(&host), None, &clock, shutdown.clone())
        })
        .await;
        let serving = tokio::spawn(async move { server.run().await.unwrap() });
        self.serving = Some((shutdown, serving));
    }

    /// Stops git-api.
    pub(crate) async fn stop_git_api(&mut self) {
        let (shutdown, serving) = self.serving.take().unwrap();
        shutdown.cancel();
        serving.await.unwrap();
    }

    async fn populate(&self) {
        let store = format!("http://{}", self.configstore).parse().unwrap();
        let store =
            Configstore::new(store, TokenSource::fixed(static_token("system")), Timeouts::default()).unwrap();
        for name in ["al", "bob"] {
            store.create(&name.parse().unwrap()).await.unwrap();
        }
        let git = self.git();
        for (name, permission) in
            [("carl", Permission::Read), ("dora", Permission::Write), ("erin", Permission::Admin)]
        {
            git.create_user(&user(name)).await.unwrap();
            git.set_collaborator(&user("al"), &repo("dev"), &format!("customer-{name}"), permission)
                .await
                .unwrap();
        }
        git.create_user(&user("frank")).await.unwrap();
        let admin = Permission::Admin;
        git.set_collaborator(&user("al"), &repo("functions"), "customer-frank", admin).await.unwrap();
    }

    /// git-api, as the operator.
    pub(crate) fn git(&self) -> GitApi {
        let base = format!("http://{}", self.git_api).parse().unwrap();
        GitApi::new(base, TokenSource::fixed(static_token("operator")), Timeouts::default()).unwrap()
    }

    /// The URL of al's `dev`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/customer-al/dev.git", self.git_api)
    }

    async fn client(&self, name: &str) -> lb_testkit::git::Git {
        let token = self.git().create_token(&user(name), "test").await.unwrap();
        lb_testkit::git::Git::new().with_token(&user(name).to_string(), token.reveal())
    }

    /// A clone of al's `dev` by al.
    pub(crate) async fn clone(&self) -> Clone {
        self.client("al").await.clone_of(&self.url()).await
    }

    /// A new history whose origin is al's `dev`.
    pub(crate) async fn init(&self) -> Clone {
        self.client("al").await.init(&self.url()).await
    }

    /// The token that a role shows at al's workspace.
    pub(crate) async fn token(&self, role: &str) -> Secret {
        if !USERS.contains(&role) {
            return static_token(role);
        }
        let url = format!("http://{}/login/token", self.git_api);
        let request =
            self.http.post(url).bearer_auth(static_token(role).reveal()).json(&json!({"audience": "al-dev"}));
        let (status, body) = answer(request).await;
        // Who may do nothing gets none: the token for bob's own workspace is shown instead.
        if status == 403 {
            let url = format!("http://{}/login/token", self.git_api);
            let request = self
                .http
                .post(url)
                .bearer_auth(static_token(role).reveal())
                .json(&json!({"audience": "bob-dev"}));
            return Secret::new(answer(request).await.1["token"].as_str().unwrap().to_owned());
        }
        assert_eq!(status, 200, "{role}: {body}");
        Secret::new(body["token"].as_str().unwrap().to_owned())
    }

    /// What a pod of al's workspace is given.
    pub(crate) fn pod_environment(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let tokens = self.directory.path().join("identity");
        std::fs::create_dir_all(&tokens).unwrap();
        for audience in ["git-api", "configstore"] {
            std::fs::write(tokens.join(audience), format!("{}\n", static_token("pod-al").reveal())).unwrap();
        }
        let people = self.directory.path().join("operators");
        std::fs::write(&people, "0123456789abcdef-operator,root,operator\n").unwrap();
        let mut environment: BTreeMap<String, String> = [
            ("GIT_URL", self.url()),
            ("LB_PRODUCER", "al".to_owned()),
            ("LB_ENV", "dev".to_owned()),
            ("WATCH_URL", format!("http://{}/change-stream/al", self.configstore)),
            ("LB_PUSH_INTERVAL", "50".to_owned()),
            ("LB_CLONE_DIR", self.directory.path().join("clone").display().to_string()),
            ("LB_TOKENS_DIR", tokens.display().to_string()),
            ("PROJECT_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("WORKSPACE_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("SUPERVISOR_LISTEN", "127.0.0.1:0".to_owned()),
            ("APP_ADDRESS", "127.0.0.1:9".to_owned()),
            ("AUTH_TOKENS_FILE", people.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        environment
    }

    /// Starts al's workspace.
    pub(crate) async fn pod(&self) -> Pod {
        self.pod_with(&[]).await
    }

    /// Starts al's workspace with more variables set.
    pub(crate) async fn pod_with(&self, more: &[(&str, &str)]) -> Pod {
        let environment = self.pod_environment(more);
        let mut reader = Reader::new(&environment);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).unwrap().0.unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::start(&settings, &self.clock.clock(), shutdown.clone()).await.unwrap();
        let [project_api, workspace_api, supervisor] = server.addresses().unwrap();
        let app = server.app();
        let mut tokens = BTreeMap::new();
        for role in USERS.iter().chain(&["pod-al", "operator"]) {
            tokens.insert((*role).to_owned(), self.token(role).await);
        }
        let running = Some(tokio::spawn(server.run()));
        Pod {
            project_api,
            workspace_api,
            supervisor,
            app,
            shutdown,
            running,
            http: self.http.clone(),
            tokens,
        }
    }
}

impl Pod {
    /// The token that a role shows from now on.
    pub(crate) fn show(&mut self, role: &str, token: Secret) {
        self.tokens.insert(role.to_owned(), token);
    }

    /// A request to the Project API in a role.
    pub(crate) fn request(&self, role: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.request_at("project", role, method, path)
    }

    /// The same to one of the two APIs.
    pub(crate) fn request_at(
        &self,
        api: &str,
        role: &str,
        method: &str,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let address = match api {
            "project" => self.project_api,
            "workspace" => self.workspace_api,
            _ => self.supervisor,
        };
        let request = self.http.request(method.parse().unwrap(), format!("http://{address}{path}"));
        if role == "none" { request } else { request.bearer_auth(self.tokens[role].reveal()) }
    }

    /// What a GET answers to a reader.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = answer(self.request("reader", "GET", path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The status.
    pub(crate) async fn status(&self) -> Value {
        self.get("/api/WorkspaceStatus/1").await
    }

    /// Merges keys into the project as a writer.
    pub(crate) async fn patch(&self, role: &str, mut given: Value) -> (u16, Value) {
        given["id"] = "al-dev".into();
        answer(self.request(role, "PATCH", "/api/Projects").json(&given)).await
    }

    /// Waits until everything is at the git host.
    pub(crate) async fn pushed(&self) {
        eventually("everything is pushed", || async {
            let status = self.status().await;
            if status["unpushed"] == 0 && status["problem"].is_null() { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// As SIGTERM: asks it to end, and waits until it has.
    pub(crate) async fn end(mut self) {
        self.shutdown.cancel();
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    /// Waits for an end that somebody else asked for.
    pub(crate) async fn ended(mut self) {
        self.running.take().unwrap().await.unwrap().unwrap();
    }
}

/// Status and JSON of an answer; null where it is no JSON.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Whether a body is refused as too large: told so, or cut off while it is still sent.
pub(crate) async fn too_large(request: reqwest::RequestBuilder) -> bool {
    match request.send().await {
        Ok(response) => response.status().as_u16() == 413,
        Err(error) => error.is_request(),
    }
}

async fn start_configstore(
    environment: &BTreeMap<String, String>,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> SocketAddr {
    let mut reader = Reader::new(environment);
    let settings = configstore::Settings::read(&mut reader);
    let (settings, _) = reader.finish(settings).unwrap();
    let server = configstore::Server::bind(&settings, None, clock, shutdown.clone()).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    address
}
