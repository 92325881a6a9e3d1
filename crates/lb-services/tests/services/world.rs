//! A world of its own for each test: a git host, git-api and configstore on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use lb_cluster::Cluster;
use lb_git::GitHost;
use lb_git::embedded::{Embedded, Settings as HostSettings};
use lb_git::gitea::{self, Gitea};
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::{GitApi, Permission};
use lb_http::contract::hook::HookKey;
use lb_http::contract::{Timeouts, TokenSource};
use lb_services::{configstore, git_api, watcher};
use lb_testkit::gitea::Gitea as RealGitea;
use lb_vocab::settings::Reader;
use lb_vocab::{Clock, GitUser, RepoName, Secret};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Static tokens; the roles' names in `roles.txt` are their ends.
pub(crate) const TOKENS: &str = "\
0123456789abcdef-other,customer-bob,user
0123456789abcdef-reader,customer-carl,user
0123456789abcdef-writer,customer-dora,user
0123456789abcdef-owner,customer-al,user
0123456789abcdef-admin,customer-erin,user
0123456789abcdef-pod-al,workspace,pod,al-dev
0123456789abcdef-pod-bob,workspace,pod,bob-dev
0123456789abcdef-pod-sls,sls-api,pod,al-dev
0123456789abcdef-pod-gateway,gateway,pod,al-dev
0123456789abcdef-system,actualizer,system
0123456789abcdef-operator,root,operator
";

/// The secret of webhooks.
pub(crate) const HOOK_SECRET: &str = "hook-secret";

/// The secret of one repository's webhook.
pub(crate) fn hook_secret(repository: &str) -> Secret {
    HookKey::new(Secret::new(HOOK_SECRET.to_owned())).secret(repository)
}

/// The token of a role.
pub(crate) fn token(role: &str) -> Secret {
    Secret::new(token_of(role))
}

fn token_of(role: &str) -> String {
    format!("0123456789abcdef-{role}")
}

/// The git user of the producer with this name.
pub(crate) fn user(name: &str) -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: name.into() }
}

/// A repository's name.
pub(crate) fn repo(name: &str) -> RepoName {
    name.parse().unwrap()
}

/// Services that run until they are dropped.
pub(crate) struct World {
    pub(crate) host: Arc<dyn GitHost>,
    pub(crate) git_api: SocketAddr,
    pub(crate) configstore: SocketAddr,
    /// Where there is a cluster.
    pub(crate) watcher: Option<SocketAddr>,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
    pub(crate) clock: Clock,
    pub(crate) directory: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    /// Services over an empty host.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Services with more variables set.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        Self::over(None, lb_testkit::clock::system(), variables).await
    }

    /// Services whose callers may be service accounts of a cluster.
    pub(crate) async fn over(cluster: Option<Cluster>, clock: Clock, variables: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let settings = HostSettings::new(directory.path().join("git"));
        let host = Arc::new(Embedded::open(settings, clock.clone()).await.unwrap());
        Self::over_host(host, directory, cluster, [clock.clone(), clock], variables).await
    }

    /// Services over a Gitea, whose webhooks reach the configstore.
    pub(crate) async fn over_gitea(real: &RealGitea) -> Self {
        Self::over_gitea_with(real, None, lb_testkit::clock::system(), &[]).await
    }

    /// The same where people sign in, with a clock of the configstore's own and more variables set.
    pub(crate) async fn over_gitea_with(
        real: &RealGitea,
        oauth: Option<gitea::OAuth>,
        configstore: Clock,
        variables: &[(&str, &str)],
    ) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (directory, clock) = (tempfile::tempdir().unwrap(), lb_testkit::clock::system());
        let token = Secret::new(real.admin_token().to_owned());
        let (url, prefix) = (real.url().parse().unwrap(), "customer".parse().unwrap());
        let settings = gitea::Settings::new(url, token, prefix, directory.path().join("git"));
        let settings = gitea::Settings { oauth, ..settings };
        let host = Arc::new(Gitea::open(settings, clock.clone()).await.unwrap());
        let address = format!("127.0.0.1:{}", lb_testkit::free_port());
        let hook = format!("http://{address}/hook");
        let system = token_of("system");
        // A token that is signed by another clock would not be valid.
        let own =
            [("CONFIGSTORE_LISTEN", &*address), ("CONFIGSTORE_HOOK_URL", &hook), ("SYSTEM_TOKEN", &system)];
        let variables = [&own, variables].concat();
        Self::over_host(host, directory, None, [clock, configstore], &variables).await
    }

    async fn over_host(
        host: Arc<dyn GitHost>,
        directory: TempDir,
        cluster: Option<Cluster>,
        [clock, configstore_clock]: [Clock; 2],
        variables: &[(&str, &str)],
    ) -> Self {
        let tokens = directory.path().join("tokens");
        std::fs::write(&tokens, TOKENS).unwrap();
        let key = directory.path().join("key.pem");
        let mut environment: BTreeMap<String, String> = BTreeMap::from([
            ("GIT_API_LISTEN".into(), "127.0.0.1:0".into()),
            ("CONFIGSTORE_LISTEN".into(), "127.0.0.1:0".into()),
            ("WATCHER_LISTEN".into(), "127.0.0.1:0".into()),
            ("AUTH_TOKENS_FILE".into(), tokens.display().to_string()),
            ("AUTH_SIGNING_KEY_FILE".into(), key.display().to_string()),
            ("CORS_ORIGINS".into(), "https://ui.example.com".into()),
            ("HOOK_SECRET".into(), HOOK_SECRET.into()),
        ]);
        environment.extend(variables.iter().map(|(k, v)| ((*k).into(), (*v).into())));
        let shutdown = CancellationToken::new();
        let git_api =
            start_git_api(&environment, Arc::clone(&host), cluster.clone(), &clock, &shutdown).await;
        environment.entry("GIT_API_URL".into()).or_insert_with(|| format!("http://{git_api}"));
        let configstore =
            start_configstore(&environment, cluster.clone(), &configstore_clock, &shutdown).await;
        let watcher = match cluster {
            Some(cluster) => Some(start_watcher(&environment, cluster, &clock, &shutdown).await),
            None => None,
        };
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { host, git_api, configstore, watcher, http, shutdown, clock, directory }
    }

    /// The producers al and bob, with al's `dev` readable for carl and writable for dora, and all of it erin's to administer.
    pub(crate) async fn populated() -> Self {
        Self::new().await.populate().await
    }

    /// The same in a world that is empty.
    pub(crate) async fn populate(self) -> Self {
        for name in ["al", "bob"] {
            self.configstore().create(&name.parse().unwrap()).await.unwrap();
        }
        let git = self.git("operator");
        for name in ["carl", "dora", "erin"] {
            git.create_user(&user(name)).await.unwrap();
        }
        for repository in ["dev", "functions"] {
            let login = "customer-erin";
            git.set_collaborator(&user("al"), &repo(repository), login, Permission::Admin).await.unwrap();
        }
        git.set_collaborator(&user("al"), &repo("dev"), "customer-carl", Permission::Read).await.unwrap();
        git.set_collaborator(&user("al"), &repo("dev"), "customer-dora", Permission::Write).await.unwrap();
        self
    }

    /// A client of git-api in a role.
    pub(crate) fn git(&self, role: &str) -> GitApi {
        let base = format!("http://{}", self.git_api).parse().unwrap();
        GitApi::new(base, TokenSource::fixed(token(role)), Timeouts::default()).unwrap()
    }

    /// A client of the configstore as the system.
    pub(crate) fn configstore(&self) -> Configstore {
        let base = format!("http://{}", self.configstore).parse().unwrap();
        Configstore::new(base, TokenSource::fixed(token("system")), Timeouts::default()).unwrap()
    }

    /// A user of the `git` client with a token of the host.
    pub(crate) async fn person(&self, name: &str) -> lb_testkit::git::Git {
        let token = self.git("system").create_token(&user(name), "test").await.unwrap();
        lb_testkit::git::Git::new().with_token(&user(name).to_string(), token.reveal())
    }

    /// The URL of a repository for the `git` client.
    pub(crate) fn url(&self, name: &str, repo: &str) -> String {
        format!("http://{}/customer-{name}/{repo}.git", self.git_api)
    }

    /// A request to git-api in a role.
    pub(crate) fn request(&self, role: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}{path}", self.git_api);
        self.http.request(method.parse().unwrap(), url).bearer_auth(token(role).reveal())
    }

    /// What git-api answers to a GET as the operator: status and JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, serde_json::Value) {
        answer(self.request("operator", "GET", path)).await
    }
}

/// Status and body of a GET whose path is sent as it is: clients resolve `..` and `%2e%2e` themselves.
pub(crate) async fn raw_get(address: SocketAddr, path: &str, role: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let token = token(role);
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        token.reveal()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    (text.split(' ').nth(1).unwrap().parse().unwrap(), text)
}

/// Status and JSON of an answer; null where it is no JSON.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> (u16, serde_json::Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

/// Starts git-api over a host; answers where.
pub(crate) async fn start_git_api(
    environment: &BTreeMap<String, String>,
    host: Arc<dyn GitHost>,
    cluster: Option<Cluster>,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> SocketAddr {
    let mut reader = Reader::new(environment);
    let settings = git_api::Settings::read(&mut reader);
    let (settings, _) = reader.finish(settings).unwrap();
    let server = git_api::Server::bind(&settings, host, cluster, clock, shutdown.clone()).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    address
}

/// Starts a configstore; answers where.
pub(crate) async fn start_configstore(
    environment: &BTreeMap<String, String>,
    cluster: Option<Cluster>,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> SocketAddr {
    let mut reader = Reader::new(environment);
    let settings = configstore::Settings::read(&mut reader);
    let (settings, _) = reader.finish(settings).unwrap();
    let server = configstore::Server::bind(&settings, cluster, clock, shutdown.clone()).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    address
}

/// Starts a watcher of the cluster that also knows its callers; answers where.
async fn start_watcher(
    environment: &BTreeMap<String, String>,
    cluster: Cluster,
    clock: &Clock,
    shutdown: &CancellationToken,
) -> SocketAddr {
    let mut reader = Reader::new(environment);
    let settings = watcher::Settings::read(&mut reader);
    let (settings, _) = reader.finish(settings).unwrap();
    let callers = Some(cluster.clone());
    let server = watcher::Server::bind(&settings, &cluster, callers, clock, shutdown.clone()).await.unwrap();
    let address = server.address();
    tokio::spawn(server.run());
    address
}
