//! A real Gitea, started and stopped as a child process: one that a whole run shares, or one of a test's own.
//!
//! ```text
//! <directory>/app.ini              its configuration, with its secrets
//!             url, admin.token     how it is reached
//!             gitea.log            what it says, requests included
//!             data/ repositories/  its database and what is pushed
//! ```
//!
//! Tests on the shared one keep apart by users with [`crate::unique`] names. It has API, git and webhooks; its pages have
//! neither styles nor scripts, because Go modules come without the front end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, Method, RequestBuilder};
use tokio::sync::OnceCell;

use crate::files::write_private;
use crate::process::{Cleaner, Supervised, bare, until};
use crate::{Progress, free_port, quiet, random_key, tools};

/// The variable through which `cargo xtask test` shares one Gitea among all test binaries: its directory.
pub const SHARED_GITEA: &str = "LUNCHBADGER_TEST_GITEA";

/// The user who may do everything (`admin` is a reserved name).
pub const ADMIN: &str = "site-admin";

/// How a Gitea is started.
#[derive(Clone)]
pub struct Options {
    /// Where it keeps everything; new or empty. `None`: in a temporary directory that is removed at the end.
    pub directory: Option<PathBuf>,
    /// Told what is being waited for.
    pub progress: Progress,
}

impl Default for Options {
    /// A temporary one, quietly.
    fn default() -> Self {
        Self { directory: None, progress: quiet() }
    }
}

/// A running Gitea. It is killed when this is dropped, and when our process ends in any way.
pub struct Gitea {
    directory: PathBuf,
    url: String,
    admin_token: String,
    http: Client,
    progress: Progress,
    // Stopped before its directory is removed.
    process: Option<Supervised>,
    _cleaner: Option<Cleaner>,
}

impl Gitea {
    /// The Gitea of this run: `cargo xtask test` starts it; otherwise the first test of each test binary does.
    ///
    /// # Panics
    /// Where it cannot be started: the message says what to do.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Gitea> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                let gitea = match crate::environment(SHARED_GITEA) {
                    Some(directory) => Self::running_in(directory.into()),
                    None => Self::launch(Options::default()).await,
                };
                gitea.unwrap_or_else(|error| panic!("{error:#}"))
            })
            .await
    }

    /// Starts one of the caller's own, on a free port, and waits until it serves.
    ///
    /// # Errors
    /// Where it is not built or does not come up: the end of its log.
    pub async fn launch(options: Options) -> Result<Self> {
        let (directory, cleaner) = Cleaner::named_or_temporary(options.directory, "lunchbadger-gitea-")?;
        fs::create_dir_all(directory.join("data"))
            .with_context(|| format!("create {}", directory.display()))?;
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        write_private(&directory.join("app.ini"), &configuration(&directory, &url, port)?)?;
        (options.progress)("setting up Gitea's database and its admin");
        let token = set_up(&directory).await?;
        write_private(&directory.join("admin.token"), &token)?;
        write_private(&directory.join("url"), &url)?;
        let started = Self::running_in(directory)?;
        let mut gitea = Self { progress: options.progress, _cleaner: cleaner, ..started };
        gitea.start().await?;
        Ok(gitea)
    }

    /// Starts one again in a directory that [`Self::launch`] was given before, with what is in it, on a free port.
    /// Nothing else may have it open.
    ///
    /// # Errors
    /// As [`Self::launch`], and where the directory is not one of a Gitea.
    pub async fn reopen(directory: PathBuf, progress: Progress) -> Result<Self> {
        let file = directory.join("app.ini");
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let before = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let line = |line: &str| match line.split(" = ").next() {
            Some("HTTP_PORT") => format!("HTTP_PORT = {port}\n"),
            Some("ROOT_URL") => format!("ROOT_URL = {url}/\n"),
            _ => format!("{line}\n"),
        };
        write_private(&file, &before.lines().map(line).collect::<String>())?;
        write_private(&directory.join("url"), &url)?;
        let mut gitea = Self { progress, ..Self::running_in(directory)? };
        gitea.start().await?;
        Ok(gitea)
    }

    /// The one whose directory it is.
    fn running_in(directory: PathBuf) -> Result<Self> {
        // Another part of the process may have chosen the provider already; then its choice holds.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // No idle connections: each would belong to the runtime of the test that made it.
        let http = Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0);
        let http = http.timeout(Duration::from_secs(30)).build().context("prepare calls to Gitea")?;
        let read = |name: &str| {
            let file = directory.join(name);
            fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))
        };
        let (url, admin_token) = (read("url")?, read("admin.token")?);
        Ok(Self { directory, url, admin_token, http, progress: quiet(), process: None, _cleaner: None })
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Base URL, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token of [`ADMIN`] with all scopes.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// The file of that token; nobody else may read it.
    #[must_use]
    pub fn admin_token_file(&self) -> PathBuf {
        self.directory.join("admin.token")
    }

    /// What `git` clones and pushes a repository with, without credentials.
    #[must_use]
    pub fn clone_url(&self, user: &str, repository: &str) -> String {
        format!("{}/{user}/{repository}.git", self.url)
    }

    /// A request as [`ADMIN`]; `path` is what follows `/api/v1/`.
    pub fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/api/v1/{path}", self.url)).bearer_auth(&self.admin_token)
    }

    /// Kills it; its data stays.
    ///
    /// Caveat: its queues are in memory, and what waits there is lost. Before, wait until Gitea has noted what was pushed:
    /// the webhook was called, the repository is no longer `empty`.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts it again, on the same port with the same data, and waits until it serves.
    ///
    /// # Errors
    /// Where it does not come up: the end of its log.
    pub async fn start(&mut self) -> Result<()> {
        let log = self.directory.join("gitea.log");
        let arguments = ["web".to_owned(), format!("--config={}", self.directory.join("app.ini").display())];
        let process = Supervised::start(&program()?, arguments, &BTreeMap::new(), &log)?;
        let health = self.http.get(format!("{}/api/healthz", self.url));
        until("Gitea (/api/healthz)", [self.process.insert(process)], &self.progress, async || {
            let request = health.try_clone().context("ask again")?;
            request.send().await?.error_for_status()?;
            Ok(())
        })
        .await
    }
}

/// Makes the database and the admin, and returns the admin's token.
async fn set_up(directory: &Path) -> Result<String> {
    run(directory, &["migrate"]).await?;
    let mut create = vec!["admin", "user", "create", "--admin", "--username", ADMIN];
    create.extend(["--email", "site-admin@example.com", "--random-password", "--must-change-password=false"]);
    run(directory, &create).await?;
    let mut token = vec!["admin", "user", "generate-access-token", "--username", ADMIN];
    token.extend(["--token-name", "admin", "--scopes", "all", "--raw"]);
    // Warnings are printed before it, also on standard output.
    let printed = run(directory, &token).await?;
    printed.lines().last().map(str::to_owned).context("gitea printed no token")
}

/// Runs a command of Gitea's and returns what it printed.
async fn run(directory: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = bare(&program()?);
    command.arg("--config").arg(directory.join("app.ini")).args(arguments);
    let what = format!("gitea {}", arguments.join(" "));
    let output = tokio::task::spawn_blocking(move || command.output()).await.context("wait for gitea")?;
    let output = output.with_context(|| format!("start `{what}`"))?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("`{what}` failed ({}): {} {}", output.status, complained.trim(), said.trim());
    }
    Ok(said.into_owned())
}

fn program() -> Result<PathBuf> {
    tools::find_gitea()?.with_context(|| {
        let directory = tools::GITEA.dir().unwrap_or_default();
        format!("gitea is not in {}: run `cargo xtask tools`, which builds it", directory.display())
    })
}

/// `app.ini`. What differs from Gitea's defaults beyond paths and secrets has its reason in a comment there.
fn configuration(directory: &Path, url: &str, port: u16) -> Result<String> {
    let program = program()?;
    let beside = program.parent().unwrap_or(&program).display();
    let directory = directory.display();
    let secret = || random_key().map(|key| URL_SAFE_NO_PAD.encode(key));
    let (secret_key, internal_token, jwt_secret) = (secret()?, secret()?, secret()?);
    Ok(format!(
        "\
APP_NAME = LunchBadger's Gitea for tests
WORK_PATH = {directory}
; Containers that build software know no other user.
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = {url}/
APP_DATA_PATH = {directory}/data
STATIC_ROOT_PATH = {beside}
OFFLINE_MODE = true
DISABLE_SSH = true

[database]
DB_TYPE = sqlite3
PATH = {directory}/data/gitea.db
; Readers and the writer do not stop each other, and a busy machine is not a failure.
SQLITE_JOURNAL_MODE = WAL
SQLITE_TIMEOUT = 20000

[repository]
ROOT = {directory}/repositories

[security]
INSTALL_LOCK = true
SECRET_KEY = {secret_key}
INTERNAL_TOKEN = {internal_token}

[service]
DISABLE_REGISTRATION = true

[oauth2]
ENABLED = true
JWT_SECRET = {jwt_secret}
; The default, an RSA key, takes seconds to generate.
JWT_SIGNING_ALGORITHM = ES256

[webhook]
ALLOWED_HOST_LIST = loopback, 10.244.0.1/32

[queue]
; On disk, the default, a queue is looked at every 2 seconds: twice before a webhook is sent.
TYPE = channel

[indexer]
; Nothing is searched. The default is an index on disk.
ISSUE_INDEXER_TYPE = db

[actions]
ENABLED = false

[packages]
ENABLED = false

[i18n]
; Each language takes time at the start.
LANGS = en-US
NAMES = English

[log]
MODE = console
LEVEL = info
"
    ))
}
