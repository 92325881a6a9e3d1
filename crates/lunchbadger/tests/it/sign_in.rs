//! `login`, `whoami` and the members of a producer: git-api and configstore as processes, over a real Gitea, with a person
//! who has a browser.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use lb_testkit::browser::Browser;
use lb_testkit::gitea::{Gitea, Options};
use lb_testkit::process::Supervised;
use lb_testkit::{eventually, free_port};
use reqwest::Method;
use serde_json::{Value, json};

use crate::command::{lunchbadger, stderr, stdout};

const PASSWORD: &str = "correct-horse-9";
const OPERATOR: &str = "0123456789abcdef-operator";

struct Platform {
    gitea: Gitea,
    git_api: String,
    configstore: String,
    directory: tempfile::TempDir,
    _roles: [Supervised; 2],
}

impl Platform {
    async fn start() -> Self {
        let gitea = Gitea::launch(Options::default()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(file("tokens"), format!("{OPERATOR},root,operator\n")).unwrap();
        std::fs::write(file("operator"), OPERATOR).unwrap();
        let address = || format!("127.0.0.1:{}", free_port());
        let (git, store) = (address(), address());
        let (git_api, configstore) = (format!("http://{git}"), format!("http://{store}"));
        let application = gitea.create_application(&format!("{git_api}/login/callback")).await.unwrap();
        std::fs::write(file("client-secret"), &application.client_secret).unwrap();
        let environment: BTreeMap<String, String> = [
            ("AUTH_TOKENS_FILE", file("tokens")),
            ("AUTH_SIGNING_KEY_FILE", file("signing-key.pem")),
            ("HOOK_SECRET", "hook-secret".to_owned()),
            ("CONFIGSTORE_HOOK_URL", format!("{configstore}/hook")),
            ("GIT_API_LISTEN", git),
            ("GIT_API_PUBLIC_URL", git_api.clone()),
            ("GIT_DATA_DIR", file("git")),
            ("GITEA_HOST", gitea.url().to_owned()),
            ("GITEA_TOKEN_FILE", gitea.admin_token_file().display().to_string()),
            ("GITEA_OAUTH_CLIENT_ID", application.client_id),
            ("GITEA_OAUTH_CLIENT_SECRET_FILE", file("client-secret")),
            ("CONFIGSTORE_LISTEN", store),
            ("GIT_API_URL", git_api.clone()),
            ("SIGN_UP", "self".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let program = Path::new(env!("CARGO_BIN_EXE_lunchbadger"));
        let start = |role: &str| {
            Supervised::start(program, [role.to_owned()], &environment, Path::new(&file(role))).unwrap()
        };
        let roles = [start("git-api"), start("configstore")];
        for login in ["alice", "bobby"] {
            gitea.create_person(login, PASSWORD).await.unwrap();
        }
        let platform = Self { gitea, git_api, configstore, directory, _roles: roles };
        eventually("the roles serve", || async {
            let listed = platform.run("operator", &["producers", "list"]);
            if listed.status.success() { Ok(()) } else { Err(stderr(&listed)) }
        })
        .await;
        platform
    }

    /// The command of somebody with a configuration of their own; the operator has a token in a file.
    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        let mut command = lunchbadger();
        command
            .args(["--git-api-url", &self.git_api, "--configstore-url", &self.configstore])
            .env("XDG_CONFIG_HOME", self.directory.path().join(format!("home-{who}")));
        if who == "operator" {
            command.arg("--token-file").arg(self.directory.path().join("operator"));
        }
        command.args(arguments);
        command
    }

    fn run(&self, who: &str, arguments: &[&str]) -> Output {
        self.command(who, arguments).output().unwrap()
    }

    /// Runs a command that has to end with this status; what it said.
    fn expect(&self, who: &str, status: i32, arguments: &[&str]) -> String {
        let output = self.run(who, arguments);
        let said = format!("{}{}", stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(status), "{who} {arguments:?}:\n{said}");
        said
    }

    /// `login --user` with a token on standard input.
    fn login_with(&self, who: &str, token: &str) -> Output {
        let mut command = self.command(who, &["login", "--user", who]);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// `login` of somebody who opens the page that it names, and says yes or no there.
    async fn login_in_a_browser(&self, who: &str, consent: bool) -> (Option<i32>, String) {
        let mut command = self.command(who, &["login"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let page = lines.by_ref().map(Result::unwrap).find(|line| line.contains("/login?")).unwrap();
        let browser = Browser::sign_in(&self.gitea, who, PASSWORD).await.unwrap();
        let back = browser.follow(page.trim(), &waits(&page), consent).await.unwrap();
        let shown = http().get(back).send().await.unwrap();
        assert!(shown.text().await.unwrap().contains("can be closed"));
        let output = child.wait_with_output().unwrap();
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        (output.status.code(), format!("{}{}", stdout(&output), rest.join("\n")))
    }

    /// A personal access token that somebody makes at Gitea.
    async fn personal_token(&self, login: &str) -> String {
        let url = format!("{}/api/v1/users/{login}/tokens", self.gitea.url());
        let body = json!({"name": "cli", "scopes": ["read:user", "write:repository"]});
        let made = http().post(url).basic_auth(login, Some(PASSWORD)).json(&body).send();
        let made: Value = made.await.unwrap().error_for_status().unwrap().json().await.unwrap();
        made["sha1"].as_str().unwrap().to_owned()
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Where the command waits, of the page that it named.
fn waits(page: &str) -> String {
    let page: reqwest::Url = page.trim().parse().unwrap();
    page.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_and_let_each_other_in() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let platform = Platform::start().await;
    platform.expect("operator", 0, &["producers", "create", "al"]);
    assert!(platform.expect("alice", 2, &["whoami"]).contains("credentials"));

    let (status, said) = platform.login_in_a_browser("alice", false).await;
    assert!(status == Some(2) && said.contains("access_denied"), "{said}");
    let (status, said) = platform.login_in_a_browser("alice", true).await;
    assert!(status == Some(0) && said.contains("as alice"), "{said}");
    let who = platform.expect("alice", 0, &["whoami"]);
    assert!(
        who.contains("user alice (Person alice, alice@people.example.com)") && !who.contains("dev"),
        "{who}"
    );

    assert!(platform.expect("alice", 2, &["producers", "members", "al"]).contains("403"));
    let invited = platform.expect("operator", 0, &["producers", "invite", "al", "alice"]);
    assert_eq!(invited, "alice may write what is al's\n");
    let who = platform.expect("alice", 0, &["whoami"]);
    assert!(who.contains("customer-al/dev") && who.contains("write"), "{who}");
    let invite = ["producers", "invite", "al", "bobby", "--permission", "read"];
    assert!(platform.expect("alice", 2, &invite).contains("403"), "a writer invites nobody");
    platform.expect("operator", 0, &["producers", "invite", "al", "alice", "--permission", "admin"]);
    platform.expect("alice", 0, &invite);
    let members = platform.expect("alice", 0, &["producers", "members", "al"]);
    let members: Vec<Vec<&str>> = members.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(members[1..], [vec!["alice", "admin", "admin"], vec!["bobby", "read", "read"]]);
    platform.expect("alice", 0, &["producers", "revoke", "al", "bobby"]);
    assert!(!platform.expect("alice", 0, &["producers", "members", "al"]).contains("bobby"));

    let made = platform.expect("alice", 0, &["producers", "create", "mine"]);
    assert!(made.contains("customer-mine/dev.git") && made.contains("personal access token"), "{made}");
    assert!(platform.expect("alice", 2, &["producers", "create", "al"]).contains("taken"));
    assert!(platform.expect("alice", 0, &["producers", "show", "mine"]).contains("customer-mine"));

    platform.expect("alice", 0, &["logout"]);
    platform.expect("alice", 2, &["whoami"]);
    let refused = platform.login_with("alice", "wrong");
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    platform.expect("alice", 2, &["whoami"]);
    let token = platform.personal_token("alice").await;
    let signed_in = platform.login_with("alice", &token);
    let said = format!("{}{}", stdout(&signed_in), stderr(&signed_in));
    assert!(signed_in.status.success() && !said.contains(&token), "{said}");
    let repositories = platform.expect("alice", 0, &["whoami", "--output", "json"]);
    let repositories: Value = serde_json::from_str(&repositories).unwrap();
    assert_eq!(repositories["repos"].as_array().unwrap().len(), 4, "{repositories:#}");

    // Who may not sign in any more: the token that was kept gets no other.
    let gone = platform.gitea.api(Method::PATCH, "admin/users/alice");
    let body = json!({"source_id": 0, "login_name": "alice", "prohibit_login": true});
    gone.json(&body).send().await.unwrap().error_for_status().unwrap();
    assert!(platform.expect("alice", 2, &["whoami"]).contains("lunchbadger login"));
}
