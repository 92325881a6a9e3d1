//! LunchBadger's roles, each in a process of its own, so that what each takes can be told.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_testkit::files::write_private;
use lb_testkit::process::Supervised;
use reqwest::{Client, RequestBuilder};
use tokio::time::{Instant, sleep};

use super::measure::Usage;

/// How long a role may take to be ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// What all roles of a run share.
pub(super) struct Roles {
    program: PathBuf,
    directory: PathBuf,
    kubeconfig: Option<PathBuf>,
    settings: BTreeMap<String, String>,
    operator: String,
    /// For calls to roles and to Gitea.
    pub(super) http: Client,
    pub(super) git_api: Role,
    pub(super) configstore: Role,
    pub(super) actualizer: Role,
}

/// One role.
pub(super) struct Role {
    name: &'static str,
    port: u16,
    process: Option<Supervised>,
}

impl Role {
    fn new(name: &'static str) -> Self {
        Self { name, port: lb_testkit::free_port(), process: None }
    }

    /// Its base URL.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub(super) fn pid(&self) -> Result<u32> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))?.pid()
    }

    /// What it has taken.
    pub(super) fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid()?)
    }

    /// Lets it end in order, within ten seconds.
    pub(super) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end().await;
        }
    }
}

impl Roles {
    /// Makes tokens and keys; nothing runs yet. `settings` are those of all roles.
    pub(super) fn new(
        program: &Path,
        directory: &Path,
        kubeconfig: Option<&Path>,
        settings: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        let [operator, system, hooks] = ["operator", "system", "hooks"].map(lb_testkit::unique_secret);
        let (operator, system, hooks) = (operator?, system?, hooks?);
        write_private(&directory.join("system.token"), &system)?;
        let table = format!("{operator},operator,operator\n{system},lunchbadger,system\n");
        write_private(&directory.join("tokens"), &table)?;
        let path = |name: &str| directory.join(name).display().to_string();
        let mut all: BTreeMap<String, String> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let (git_api, configstore) = (Role::new("git-api"), Role::new("configstore"));
        all.extend(
            [
                ("AUTH_TOKENS_FILE", path("tokens")),
                ("SYSTEM_TOKEN_FILE", path("system.token")),
                ("HOOK_SECRET", hooks),
                ("GIT_API_URL", git_api.url()),
                ("CONFIGSTORE_URL", configstore.url()),
                ("CONFIGSTORE_HOOK_URL", format!("{}/hook", configstore.url())),
                ("GIT_DATA_DIR", path("git")),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        // Another part of the process may have chosen the provider already; then its choice holds.
        let http = lb_testkit::http_client()?;
        Ok(Self {
            program: program.to_owned(),
            directory: directory.to_owned(),
            kubeconfig: kubeconfig.map(Path::to_owned),
            settings: all,
            operator,
            http,
            git_api,
            configstore,
            actualizer: Role::new("actualizer"),
        })
    }

    /// Another caller (`al,user`), known to roles that start from now on; answers its token.
    pub(super) fn admit(&self, caller: &str) -> Result<String> {
        let (path, token) = (self.directory.join("tokens"), lb_testkit::unique_secret("caller")?);
        let table = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        write_private(&path, &format!("{table}{token},{caller}\n"))?;
        Ok(token)
    }

    /// Where the roles keep everything.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Adds the operator's token to a request to a role.
    pub(super) fn as_operator(&self, request: RequestBuilder) -> RequestBuilder {
        request.bearer_auth(&self.operator)
    }

    /// Starts git-api and the configstore, and waits until they serve.
    pub(super) async fn start_services(&mut self) -> Result<()> {
        self.git_api.process = Some(self.spawn(&self.git_api, "GIT_API_LISTEN")?);
        self.ready(&self.git_api).await?;
        self.configstore.process = Some(self.spawn(&self.configstore, "CONFIGSTORE_LISTEN")?);
        self.ready(&self.configstore).await
    }

    /// Starts the Actualizer, and waits for nothing.
    pub(super) fn start_actualizer(&mut self) -> Result<()> {
        self.actualizer.process = Some(self.spawn(&self.actualizer, "ACTUALIZER_ADDRESS")?);
        Ok(())
    }

    /// Waits until the Actualizer says that it is ready.
    pub(super) async fn actualizer_is_ready(&self) -> Result<()> {
        self.ready(&self.actualizer).await
    }

    /// What all running roles have taken together.
    pub(super) fn usage(&self) -> Result<Usage> {
        let running = [&self.git_api, &self.configstore, &self.actualizer].into_iter();
        let pids: Vec<u32> =
            running.filter(|role| role.process.is_some()).map(Role::pid).collect::<Result<_>>()?;
        Usage::sum(&pids)
    }

    /// Ends git-api and the configstore.
    pub(super) async fn stop_services(&mut self) {
        for role in [&mut self.configstore, &mut self.git_api] {
            role.stop().await;
        }
    }

    /// Ends all of them in order.
    pub(super) async fn stop(&mut self) {
        self.actualizer.stop().await;
        self.stop_services().await;
    }

    /// The sum of a metric's samples whose labels contain all of these texts.
    pub(super) async fn metric(&self, role: &Role, name: &str, labels: &[&str]) -> Result<f64> {
        let request = self.as_operator(self.http.get(format!("{}/metrics", role.url())));
        let answer = request.send().await.and_then(reqwest::Response::error_for_status);
        let text = answer.with_context(|| format!("read the metrics of {}", role.name))?.text().await?;
        let samples = text.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let of = sample.strip_prefix(name)?;
            let rest = of.is_empty() || of.starts_with('{');
            (rest && labels.iter().all(|label| of.contains(label))).then(|| value.parse::<f64>().ok())?
        });
        Ok(samples.sum())
    }

    /// Requests that git-api has answered, but those that measure it.
    pub(super) async fn requests_at_git_api(&self) -> Result<f64> {
        let all = self.metric(&self.git_api, "lunchbadger_http_requests_total", &[]).await?;
        let own = self.metric(&self.git_api, "lunchbadger_http_requests_total", &["\"/metrics\""]).await?;
        Ok(all - own)
    }

    /// Starts a role, whose address this variable says.
    fn spawn(&self, role: &Role, address: &str) -> Result<Supervised> {
        let Role { name, port, process: _ } = role;
        let mut environment = self.settings.clone();
        environment.insert(address.to_owned(), format!("127.0.0.1:{port}"));
        let mut arguments = vec![(*name).to_owned()];
        if let Some(kubeconfig) = &self.kubeconfig {
            arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
        }
        Supervised::start(&self.program, arguments, &environment, &self.directory.join(format!("{name}.log")))
    }

    async fn ready(&self, role: &Role) -> Result<()> {
        let begin = Instant::now();
        loop {
            let answer = self.http.get(format!("{}/ready", role.url())).send().await;
            let why = match answer {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if begin.elapsed() > PATIENCE {
                let log = role.process.as_ref().map(Supervised::log_tail).unwrap_or_default();
                bail!("{} is not ready after {PATIENCE:?}: {why}\n{log}", role.name);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}
