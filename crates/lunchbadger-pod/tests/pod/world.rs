//! A world of its own for each test: an embedded git host behind git-api, a configstore, and al's repositories.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lb_git::GitHost;
use lb_git::embedded::{Embedded, Settings as HostSettings};
use lb_http::contract::git_api::GitApi;
use lb_http::contract::{Timeouts, TokenSource};
use lb_services::{configstore, git_api};
use lb_testkit::git::{Clone, Git};
use lb_vocab::settings::Reader;
use lb_vocab::{GitUser, RepoName, Secret};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub(crate) const OPERATOR: &str = "0123456789abcdef-operator";
/// The configstore's own, at git-api.
const SYSTEM: &str = "0123456789abcdef-system";
pub(crate) const POD: &str = "0123456789abcdef-pod-al";

/// The producer's git user.
pub(crate) fn al() -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: "al".into() }
}

/// git-api with al's repositories, until it is dropped.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) git_api: SocketAddr,
    configstore: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = lb_testkit::clock::system();
        let host = HostSettings::new(directory.path().join("git"));
        let host: Arc<dyn GitHost> = Arc::new(Embedded::open(host, clock.clone()).await.unwrap());
        let tokens = directory.path().join("tokens");
        std::fs::write(
            &tokens,
            format!("{OPERATOR},root,operator\n{POD},workspace,pod,al-dev\n{SYSTEM},configstore,system\n"),
        )
        .unwrap();
        let variables: BTreeMap<String, String> = [
            ("GIT_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_TOKENS_FILE", tokens.display().to_string()),
            ("CONFIGSTORE_LISTEN", "127.0.0.1:0".to_owned()),
            ("SYSTEM_TOKEN", SYSTEM.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let mut reader = Reader::new(&variables);
        let settings = git_api::Settings::read(&mut reader);
        let (settings, _) = reader.finish(settings).unwrap();
        let shutdown = CancellationToken::new();
        let server = git_api::Server::bind(&settings, host, None, &clock, shutdown.clone()).await.unwrap();
        let git_api = server.address();
        tokio::spawn(server.run());
        let mut variables = variables;
        variables.insert("GIT_API_URL".to_owned(), format!("http://{git_api}"));
        let mut reader = Reader::new(&variables);
        let settings = configstore::Settings::read(&mut reader);
        let (settings, _) = reader.finish(settings).unwrap();
        let server = configstore::Server::bind(&settings, None, &clock, shutdown.clone()).await.unwrap();
        let configstore = server.address();
        tokio::spawn(server.run());
        let world = Self { directory, git_api, configstore, shutdown };
        let al = al();
        world.operator().create_user(&al).await.unwrap();
        for repo in RepoName::of_every_producer() {
            world.operator().ensure_repository(&al, &repo).await.unwrap();
        }
        std::fs::create_dir(world.directory.path().join("identity")).unwrap();
        for audience in ["git-api", "configstore"] {
            std::fs::write(world.directory.path().join("identity").join(audience), POD).unwrap();
        }
        world
    }

    pub(crate) fn operator(&self) -> GitApi {
        let base = format!("http://{}", self.git_api).parse().unwrap();
        let token = TokenSource::fixed(Secret::new(OPERATOR.to_owned()));
        GitApi::new(base, token, Timeouts::default()).unwrap()
    }

    /// A clone of al's `dev`.
    pub(crate) async fn clone(&self) -> Clone {
        Git::new().with_token("any", OPERATOR).clone_of(&self.url()).await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/customer-al/dev.git", self.git_api)
    }

    pub(crate) fn variables(&self, port: u16) -> BTreeMap<String, String> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let people = path("people");
        std::fs::write(&people, format!("{OPERATOR},root,operator\n")).unwrap();
        let variables = [
            ("GIT_URL", self.url()),
            ("LB_PRODUCER", "al".to_owned()),
            ("LB_ENV", "dev".to_owned()),
            ("WATCH_URL", format!("http://{}/change-stream/al", self.configstore)),
            ("USERNAME", "al".to_owned()),
            ("LB_PUSH_INTERVAL", "600000".to_owned()),
            ("LB_CLONE_DIR", path("clone")),
            ("LB_TOKENS_DIR", path("identity")),
            ("PROJECT_API_LISTEN", format!("127.0.0.1:{port}")),
            ("WORKSPACE_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("SUPERVISOR_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_TOKENS_FILE", people),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lunchbadger-pod"))
}
