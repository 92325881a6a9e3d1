//! The program as kubelet runs it: by its variables, with a signal at the end.
#![expect(clippy::unwrap_used, reason = "a test reports by failing")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lb_git::GitHost;
use lb_git::embedded::{Embedded, Settings as HostSettings};
use lb_http::contract::git_api::GitApi;
use lb_http::contract::{Timeouts, TokenSource};
use lb_services::git_api;
use lb_testkit::git::Git;
use lb_testkit::process::Supervised;
use lb_testkit::{eventually, free_port};
use lb_vocab::settings::Reader;
use lb_vocab::{GitUser, RepoName, Secret};
use serde_json::json;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const OPERATOR: &str = "0123456789abcdef-operator";
const POD: &str = "0123456789abcdef-pod-al";

/// git-api with al's repositories, until it is dropped.
struct World {
    directory: TempDir,
    git_api: SocketAddr,
    shutdown: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = lb_testkit::clock::system();
        let host = HostSettings::new(directory.path().join("git"));
        let host: Arc<dyn GitHost> = Arc::new(Embedded::open(host, clock.clone()).await.unwrap());
        let tokens = directory.path().join("tokens");
        std::fs::write(&tokens, format!("{OPERATOR},root,operator\n{POD},workspace,pod,al-dev\n")).unwrap();
        let variables: BTreeMap<String, String> = [
            ("GIT_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_TOKENS_FILE", tokens.display().to_string()),
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
        let world = Self { directory, git_api, shutdown };
        let al = GitUser { prefix: "customer".parse().unwrap(), name: "al".into() };
        world.operator().create_user(&al).await.unwrap();
        for repo in RepoName::of_every_producer() {
            world.operator().ensure_repository(&al, &repo).await.unwrap();
        }
        std::fs::create_dir(world.directory.path().join("identity")).unwrap();
        std::fs::write(world.directory.path().join("identity/git-api"), POD).unwrap();
        world
    }

    fn operator(&self) -> GitApi {
        let base = format!("http://{}", self.git_api).parse().unwrap();
        let token = TokenSource::fixed(Secret::new(OPERATOR.to_owned()));
        GitApi::new(base, token, Timeouts::default()).unwrap()
    }

    fn url(&self) -> String {
        format!("http://{}/customer-al/dev.git", self.git_api)
    }

    fn variables(&self, port: u16) -> BTreeMap<String, String> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let people = path("people");
        std::fs::write(&people, format!("{OPERATOR},root,operator\n")).unwrap();
        let variables = [
            ("GIT_URL", self.url()),
            ("LB_PRODUCER", "al".to_owned()),
            ("LB_ENV", "dev".to_owned()),
            ("USERNAME", "al".to_owned()),
            ("LB_PUSH_INTERVAL", "600000".to_owned()),
            ("LB_CLONE_DIR", path("clone")),
            ("LB_TOKENS_DIR", path("identity")),
            ("PROJECT_API_LISTEN", format!("127.0.0.1:{port}")),
            ("WORKSPACE_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("AUTH_TOKENS_FILE", people),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_lunchbadger-pod"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_pushes_what_was_saved() {
    let world = World::new().await;
    let (port, log) = (free_port(), world.directory.path().join("log"));
    let variables = world.variables(port);
    let init = Command::new(program()).arg("init").env_clear().envs(&variables).output().unwrap();
    assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
    let mut pod = Supervised::start(program(), ["workspace"], &variables, &log).unwrap();
    let http = lb_testkit::http_client().unwrap();
    let base = format!("http://127.0.0.1:{port}");
    eventually("it is ready", || async {
        let answer = http.get(format!("{base}/")).send().await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(answer.status().to_string()) }
    })
    .await;
    for number in 0..5 {
        let save = http.patch(format!("{base}/project-api/api/Projects")).bearer_auth(OPERATOR);
        let save = save.json(&json!({"id": "al-dev", "name": format!("save {number}")}));
        assert_eq!(save.send().await.unwrap().status(), 200);
    }
    pod.signal("TERM").unwrap();
    let status = eventually("it ends", || {
        let ended = pod.ended();
        async move { ended.ok_or("it runs") }
    })
    .await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(status.success(), "{status}: {log}");
    assert!(!log.contains(POD) && !log.contains(OPERATOR), "no token is logged");
    let git = Git::new().with_token("any", OPERATOR);
    let clone = git.clone_of(&world.url()).await;
    assert!(clone.read("lunchbadger.json").contains("save 4"));
    assert_eq!(clone.run(&["rev-list", "--count", "HEAD"]).await, "6");
}

#[test]
fn what_is_missing_is_named_at_once() {
    let none = Command::new(program()).arg("workspace").env_clear().output().unwrap();
    let text = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && text.contains("LB_PRODUCER") && text.contains("GIT_URL"), "{text}");
}
