//! etcd, kube-apiserver and kube-controller-manager, started and stopped as child processes.
//!
//! ```text
//! <directory>/kubeconfig       a context for each user, `admin` the current one
//!             audit.log        every request of people and controllers of ours, where asked for
//!             logs/            one file per process
//!             etcd/ certs/     their data
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::files::write_private;
use crate::kubeconfig::{Tokens, User};
use crate::process::{Cleaner, Supervised, until};
use crate::tools::Binaries;
use crate::{Progress, free_port, quiet};

/// Controllers that run: removal of what lost its owner or namespace, the accounts that pods need, and those that make
/// Deployments' and ReplicaSets' status move.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
                           deployment-controller,replicaset-controller";

/// Those that remove.
const REMOVING: &str = "garbage-collector-controller,namespace-controller";

/// Who did what, without bodies; the machinery's own traffic is left out.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "users": ["system:apiserver", "system:kube-controller-manager"]},
    {"level": "Metadata"}
  ]
}"#;

/// How a control plane is started.
#[derive(Clone)]
pub struct Options {
    /// Where it keeps everything. `None`: in a temporary directory that is removed at the end.
    pub directory: Option<PathBuf>,
    /// Whether `audit.log` is written.
    pub audit: bool,
    /// Requests a second that the controllers may make, where the default (20) would take long over many objects.
    pub controllers_rate: Option<u32>,
    /// Whether only those controllers run that remove what lost its owner or namespace: nothing makes pods then.
    pub removing_only: bool,
    /// Size that etcd's data may have, bytes, where its default (2 GiB) is too little.
    pub etcd_quota: Option<u64>,
    /// Told what is being waited for.
    pub progress: Progress,
}

impl Default for Options {
    /// A temporary one with an audit log, quietly.
    fn default() -> Self {
        Self {
            directory: None,
            audit: true,
            controllers_rate: None,
            removing_only: false,
            etcd_quota: None,
            progress: quiet(),
        }
    }
}

/// A running control plane. It is killed when this is dropped, and when our process ends in any way.
pub struct ControlPlane {
    directory: PathBuf,
    binaries: Binaries,
    progress: Progress,
    audit: bool,
    controllers_rate: Option<u32>,
    removing_only: bool,
    etcd_quota: Option<u64>,
    etcd_port: u16,
    api_port: u16,
    // In the order in which they are stopped.
    controller_manager: Option<Supervised>,
    api_server: Option<Supervised>,
    etcd: Option<Supervised>,
    _cleaner: Option<Cleaner>,
}

impl ControlPlane {
    /// Starts one and waits until it serves and its controllers work (the default service account is there).
    ///
    /// # Errors
    /// Where a binary is missing or a part does not come up: which, and the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let binaries = Binaries::locate()?;
        let (directory, cleaner) = Cleaner::named_or_temporary(options.directory, "lunchbadger-cluster-")?;
        let mut plane = Self {
            directory,
            binaries,
            progress: options.progress,
            audit: options.audit,
            controllers_rate: options.controllers_rate,
            removing_only: options.removing_only,
            etcd_quota: options.etcd_quota,
            etcd_port: free_port(),
            api_port: free_port(),
            controller_manager: None,
            api_server: None,
            etcd: None,
            _cleaner: cleaner,
        };
        let tokens = plane.prepare()?;
        plane.start_etcd()?;
        plane.start_api_server_with(&tokens).await?;
        plane.start_controllers().await?;
        Ok(plane)
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kubeconfig with a context for each [`User`].
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// The command-line client that belongs to it.
    #[must_use]
    pub fn kubectl(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// Kills the API server; its data stays.
    pub fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again on the same address and waits until it serves.
    ///
    /// # Errors
    /// Where it does not come up.
    pub async fn start_api_server(&mut self) -> Result<()> {
        self.spawn_api_server()?;
        self.wait_until_served().await
    }

    /// Makes etcd forget everything but what stands now. Let the API server be stopped.
    ///
    /// # Errors
    /// Where etcd does not do it.
    pub async fn compact(&self) -> Result<()> {
        // Any key will do: the answer's header has the revision.
        let header = self.etcd("kv/range", &json!({"key": "AA=="})).await.context("read etcd's revision")?;
        let revision = &header["header"]["revision"];
        self.etcd("kv/compaction", &json!({"revision": revision, "physical": true}))
            .await
            .context("compact etcd")?;
        Ok(())
    }

    /// Raises or clears the alarm that etcd raises itself where its quota is used up: as long as it stands, nothing can be
    /// stored, and everything can be read and deleted.
    ///
    /// # Errors
    /// Where etcd does not do it.
    pub async fn set_full(&self, full: bool) -> Result<()> {
        let action = if full { "ACTIVATE" } else { "DEACTIVATE" };
        let alarm = json!({"action": action, "memberID": "0", "alarm": "NOSPACE"});
        self.etcd("maintenance/alarm", &alarm).await.context("set etcd's alarm")?;
        Ok(())
    }

    /// Asks etcd through its JSON gateway.
    async fn etcd(&self, what: &str, body: &Value) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/v3/{what}", self.etcd_port);
        let answer = crate::http_client()?.post(url).json(body).send().await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Kills the controllers: nothing collects garbage, empties namespaces or moves Deployments.
    pub fn stop_controllers(&mut self) {
        self.controller_manager = None;
    }

    /// Starts the controllers and waits until they work.
    ///
    /// # Errors
    /// Where they do not come up.
    pub async fn start_controllers(&mut self) -> Result<()> {
        let mut arguments = vec![
            format!("--kubeconfig={}", self.path("controller-manager.kubeconfig")),
            format!("--controllers={}", if self.removing_only { REMOVING } else { CONTROLLERS }),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        if let Some(rate) = self.controllers_rate {
            arguments.extend([format!("--kube-api-qps={rate}"), format!("--kube-api-burst={rate}")]);
        }
        self.controller_manager = Some(self.spawn(&self.binaries.kube_controller_manager, arguments)?);
        if self.removing_only {
            // What they do shows when something is removed.
            return Ok(());
        }
        let client = client(&self.kubeconfig(), User::Admin).await?;
        self.wait("kube-controller-manager (the default service account)", async || {
            Api::<ServiceAccount>::namespaced(client.clone(), "default").get("default").await?;
            Ok(())
        })
        .await
    }

    /// The API server's process.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn api_server(&self) -> Result<u32> {
        self.api_server.as_ref().context("the API server was stopped")?.pid()
    }

    /// Fails where a part has ended that was not stopped.
    ///
    /// # Errors
    /// Which, and the end of its log.
    pub fn still_runs(&mut self) -> Result<()> {
        let parts = [&mut self.etcd, &mut self.api_server, &mut self.controller_manager];
        for part in parts.into_iter().flatten() {
            if let Some(status) = part.ended() {
                bail!("{} ended ({status}):\n{}", part.name(), part.log_tail());
            }
        }
        Ok(())
    }

    fn prepare(&self) -> Result<Tokens> {
        for directory in ["etcd", "certs", "logs"] {
            fs::create_dir_all(self.directory.join(directory))
                .with_context(|| format!("create {}", self.path(directory)))?;
        }
        let key = rcgen::KeyPair::generate().context("generate the key of service accounts")?;
        // A key that is kept keeps the tokens good that were made with it.
        if !self.directory.join("service-account.key").exists() {
            self.write("service-account.key", &key.serialize_pem())?;
            self.write("service-account.pub", &key.public_key_pem())?;
        }
        let tokens = Tokens::random()?;
        self.write("tokens.csv", &tokens.csv())?;
        if self.audit {
            self.write("audit-policy.json", AUDIT_POLICY)?;
        }
        Ok(tokens)
    }

    fn start_etcd(&mut self) -> Result<()> {
        let clients = format!("http://127.0.0.1:{}", self.etcd_port);
        let mut arguments = vec![
            format!("--data-dir={}", self.path("etcd")),
            format!("--listen-client-urls={clients}"),
            format!("--advertise-client-urls={clients}"),
            "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ];
        arguments.extend(self.etcd_quota.map(|bytes| format!("--quota-backend-bytes={bytes}")));
        self.etcd = Some(self.spawn(&self.binaries.etcd, arguments)?);
        Ok(())
    }

    /// Starts the API server for the first time: it makes its own certificate, which the kubeconfigs then carry.
    async fn start_api_server_with(&mut self, tokens: &Tokens) -> Result<()> {
        self.spawn_api_server()?;
        let certificate = self.directory.join("certs/apiserver.crt");
        self.wait("kube-apiserver's certificate", async || {
            let pem = fs::read_to_string(&certificate).context("not written yet")?;
            if pem.trim_end().ends_with("-----END CERTIFICATE-----") { Ok(()) } else { bail!("half written") }
        })
        .await?;
        let authority = fs::read(&certificate).context("read kube-apiserver's certificate")?;
        let server = format!("https://127.0.0.1:{}", self.api_port);
        let people = tokens.kubeconfig(&server, &authority, User::Admin);
        let controllers = tokens.kubeconfig(&server, &authority, User::ControllerManager);
        self.write("controller-manager.kubeconfig", &controllers.to_string())?;
        self.write("kubeconfig", &people.to_string())?;
        self.wait_until_served().await
    }

    fn spawn_api_server(&mut self) -> Result<()> {
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--cert-dir={}", self.path("certs")),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--secure-port={}", self.api_port),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            format!("--service-account-key-file={}", self.path("service-account.pub")),
            format!("--service-account-signing-key-file={}", self.path("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--token-auth-file={}", self.path("tokens.csv")),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            "--profiling=false".to_owned(),
        ];
        if self.audit {
            arguments.push(format!("--audit-policy-file={}", self.path("audit-policy.json")));
            arguments.push(format!("--audit-log-path={}", self.path("audit.log")));
        }
        self.api_server = Some(self.spawn(&self.binaries.kube_apiserver, arguments)?);
        Ok(())
    }

    async fn wait_until_served(&mut self) -> Result<()> {
        let client = client(&self.kubeconfig(), User::Admin).await?;
        self.wait("kube-apiserver (/readyz)", async || {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            match client.request_text(request).await {
                Ok(_) => Ok(()),
                Err(error) => bail!("{}", missing(&error.to_string())),
            }
        })
        .await
    }

    async fn wait(&mut self, what: &str, attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
        let processes = [&mut self.etcd, &mut self.api_server, &mut self.controller_manager];
        until(what, processes.into_iter().flatten(), &self.progress, attempt).await
    }

    fn spawn(&self, program: &Path, arguments: impl IntoIterator<Item = String>) -> Result<Supervised> {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let log = self.directory.join("logs").join(format!("{name}.log"));
        Supervised::start(program, arguments, &BTreeMap::new(), &log)
    }

    fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        write_private(&self.directory.join(name), text)
    }
}

/// What an answer of `/readyz` says is missing: of its dozens of lines those that tell.
fn missing(answer: &str) -> String {
    let telling: Vec<&str> = answer.lines().filter(|line| line.starts_with("[-]")).collect();
    if telling.is_empty() { answer.to_owned() } else { telling.join(", ") }
}

/// A client of one user of the kubeconfig, bound to the runtime that it is made in. It calls itself `test-<user>`, so
/// that this is the field manager of its writes unless they name one.
///
/// # Errors
/// Where the kubeconfig cannot be read or has no such context.
pub async fn client(kubeconfig: &Path, user: User) -> Result<Client> {
    // An earlier installation of the same provider is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("read {}", kubeconfig.display()))?;
    let options = KubeConfigOptions { context: Some(user.name().to_owned()), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options)
        .await
        .with_context(|| format!("use context {user} of {}", kubeconfig.display()))?;
    config.proxy_url = None;
    let agent = http::HeaderValue::from_str(&format!("test-{user}")).context("name the client")?;
    config.headers.push((http::header::USER_AGENT, agent));
    Client::try_from(config).context("make a client")
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn of_a_long_answer_the_lines_that_tell_are_said() {
        assert_eq!(
            missing("ApiError: [+]ping ok\n[-]rbac failed: why\n[+]etcd ok\n[-]crds failed"),
            "[-]rbac failed: why, [-]crds failed"
        );
        assert_eq!(missing("connection refused"), "connection refused");
    }
}
