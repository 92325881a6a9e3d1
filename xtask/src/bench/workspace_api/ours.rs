//! A producer's workspace as its pod runs it: git-api with the repository, the init container, the API container.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_testkit::files::write_private;
use lb_testkit::process::{Supervised, bare};
use lb_testkit::producer::Files;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connection::{Connection, Request};
use crate::bench::Bench;
use crate::bench::measure::Usage;
use crate::bench::push::{Commit, Forge};
use crate::bench::roles::Roles;
use crate::command::output;

/// Whose workspaces there are.
const PRODUCERS: [&str; 2] = ["al", "big"];
/// How long a workspace may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// The control plane, with producers that have no project yet.
pub(super) struct Host {
    roles: Roles,
    program: PathBuf,
    /// The tokens of each producer's pod and of its owner.
    tokens: BTreeMap<&'static str, [String; 2]>,
}

/// A producer's workspace whose repository is cloned.
pub(super) struct Workspace {
    program: PathBuf,
    directory: PathBuf,
    environment: BTreeMap<String, String>,
}

/// A running API container.
pub(super) struct Pod {
    /// Where its Workspace API listens.
    pub(super) address: SocketAddr,
    process: Supervised,
}

impl Host {
    /// Starts git-api and the configstore.
    pub(super) async fn start(bench: &Bench, directory: &Path) -> Result<Self> {
        let key = directory.join("signing.pem").display().to_string();
        let settings = [("AUTH_SIGNING_KEY_FILE", key), ("AUTH_TOKEN_REVIEW", "off".to_owned())];
        let mut roles = Roles::new(&bench.program, directory, None, settings)?;
        let mut tokens = BTreeMap::new();
        for name in PRODUCERS {
            let pod = roles.admit(&format!("workspace,pod,{name}-dev"))?;
            tokens.insert(name, [pod, roles.admit(&format!("customer-{name},user"))?]);
        }
        roles.start_services().await?;
        Ok(Self { roles, program: bench.pod_program.clone(), tokens })
    }

    /// Ends them.
    pub(super) async fn stop(&mut self) {
        self.roles.stop().await;
    }

    fn tokens(&self, name: &str) -> Result<&[String; 2]> {
        self.tokens.get(name).with_context(|| format!("{name} is no producer of this bench"))
    }

    fn repository(&self, name: &str) -> String {
        format!("{}/customer-{name}/dev.git", self.roles.git_api.url())
    }

    /// Makes a producer, pushes its project, and clones it as the init container does.
    pub(super) async fn workspace(&self, name: &str, files: &Files) -> Result<Workspace> {
        let (url, roles) = (format!("{}/producers", self.roles.configstore.url()), &self.roles);
        let made = roles.as_operator(roles.http.post(url).json(&json!({"id": name}))).send().await;
        made.and_then(reqwest::Response::error_for_status).with_context(|| format!("create {name}"))?;
        let directory = roles.directory().join(format!("workspace-{name}"));
        let forge = Forge::new(&directory.join("forge"))?;
        let commit = Commit { branch: "dev".into(), files: files.clone(), all: true, parent: None };
        forge.commit([commit])?;
        let push = forge.prepare(None, "dev")?;
        push.send(&roles.http, &self.repository(name), |request| roles.as_operator(request)).await?;
        let identity = directory.join("identity");
        fs::create_dir_all(&identity).with_context(|| format!("create {}", identity.display()))?;
        for audience in ["git-api", "configstore"] {
            write_private(&identity.join(audience), &self.tokens(name)?[0])?;
        }
        let stream = format!("{}/change-stream/{name}", roles.configstore.url());
        let environment = [
            ("GIT_URL", self.repository(name)),
            ("LB_PRODUCER", name.to_owned()),
            ("LB_ENV", "dev".to_owned()),
            ("WATCH_URL", stream),
            ("USERNAME", name.to_owned()),
            ("LB_CLONE_DIR", directory.join("clone").display().to_string()),
            ("LB_TOKENS_DIR", identity.display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        let workspace =
            Workspace { program: self.program.clone(), directory, environment: environment.into() };
        let mut init = bare(&workspace.program);
        output(init.arg("init").envs(&workspace.environment))?;
        Ok(workspace)
    }

    /// A token with which a producer's owner calls its workspace.
    pub(super) async fn token(&self, name: &str) -> Result<String> {
        let url = format!("{}/login/token", self.roles.git_api.url());
        let audience = json!({"audience": format!("{name}-dev")});
        let request = self.roles.http.post(url).bearer_auth(&self.tokens(name)?[1]).json(&audience);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let answer: Value = answer.with_context(|| format!("get a token of {name}"))?.json().await?;
        answer["token"].as_str().map(str::to_owned).context("git-api answers no token")
    }

    /// Commits at the git host, beyond the first.
    pub(super) async fn commits(&self, name: &str) -> Result<usize> {
        let repository = format!("git/users/customer-{name}/repos/dev/git");
        let mut git = bare(Path::new("git"));
        git.arg("--git-dir").arg(self.roles.directory().join(repository));
        let count = output(git.args(["rev-list", "--count", "refs/heads/master"]))?;
        Ok(count.trim().parse::<usize>().context("count commits")?.saturating_sub(1))
    }
}

impl Workspace {
    /// Starts the API container; milliseconds until its Workspace API says that it is ready.
    pub(super) async fn start(&self) -> Result<(Pod, f64)> {
        let mut environment = self.environment.clone();
        let ports = [(); 3].map(|()| lb_testkit::free_port());
        let names = ["PROJECT_API_LISTEN", "WORKSPACE_API_LISTEN", "SUPERVISOR_LISTEN"];
        for (name, port) in names.into_iter().zip(ports) {
            environment.insert(name.to_owned(), format!("127.0.0.1:{port}"));
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[1]));
        let (log, begin) = (self.directory.join("log"), Instant::now());
        let process = Supervised::start(&self.program, ["workspace"], &environment, &log)?;
        let root = Request::new("GET", "/", None, None);
        while let Err(error) = ask(address, &root).await {
            if begin.elapsed() > PATIENCE {
                bail!("a workspace is not ready after {PATIENCE:?}: {error:#}\n{}", process.log_tail());
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok((Pod { address, process }, begin.elapsed().as_secs_f64() * 1000.0))
    }
}

async fn ask(address: SocketAddr, request: &Request) -> Result<()> {
    Connection::open(address).await?.ask(request).await.map(drop)
}

impl Pod {
    /// What it has taken.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.process.pid()?)
    }

    /// Ends it, after which everything that was saved is at the git host.
    pub(super) async fn stop(mut self) {
        self.process.end().await;
    }
}
