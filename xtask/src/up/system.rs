//! The parts of the running system and how they are reached.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use lb_testkit::control_plane::{ControlPlane, Options};
use lb_testkit::process::{Supervised, bare};
use lb_testkit::tools::Binaries;
use tokio::time::{Instant, sleep};

use super::leftovers;
use crate::command::{cargo, output, run, target_directory};
use crate::say::{progress, say};

/// The example's producer.
pub(super) const PRODUCER: &str = "al";
/// Where its objects go in a cluster that is not ours, so that nothing else there is touched.
pub(super) const NAMESPACE_IN_NAMED_CLUSTER: &str = "lunchbadger-up";
/// Where they go in our own, as in production.
const NAMESPACE: &str = "customer";
/// How long the roles may take to be ready.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running system.
pub(super) struct System {
    /// Where everything is.
    pub(super) directory: PathBuf,
    /// The cluster.
    pub(super) kubeconfig: PathBuf,
    /// The namespace of producers' objects.
    pub(super) namespace: &'static str,
    program: PathBuf,
    git_api: u16,
    configstore: u16,
    roles: Supervised,
    plane: Option<ControlPlane>,
}

/// Builds `lunchbadger` and answers where it is.
pub(super) fn build() -> Result<PathBuf> {
    say("building lunchbadger");
    run(&mut cargo(&["build", "--locked", "--package", "lunchbadger"]))?;
    Ok(target_directory()?.join("debug/lunchbadger"))
}

impl System {
    /// Starts the control plane of Kubernetes (unless a cluster is named), then that of LunchBadger.
    pub(super) async fn start(directory: &Path, named: Option<&Path>, program: PathBuf) -> Result<Self> {
        leftovers::mark(directory)?;
        let (plane, kubeconfig, namespace) = match named {
            Some(file) => (None, std::path::absolute(file)?, NAMESPACE_IN_NAMED_CLUSTER),
            None => {
                say("starting etcd, kube-apiserver and kube-controller-manager");
                let directory = Some(directory.join("cluster"));
                let plane =
                    ControlPlane::start(Options { directory, audit: false, progress: progress() }).await?;
                let kubeconfig = plane.kubeconfig();
                (Some(plane), kubeconfig, NAMESPACE)
            }
        };
        install(&program, &kubeconfig, namespace)?;
        let (git_api, configstore, actualizer) = (port(8080), port(3002), port(9090));
        let environment = BTreeMap::from([
            ("ACTUALIZER_TARGET_NAMESPACE".to_owned(), namespace.to_owned()),
            ("CONTROL_PLANE_NAMESPACE".to_owned(), namespace.to_owned()),
        ]);
        say("starting lunchbadger up");
        let arguments = [
            "up".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--data-dir={}", directory.join("data").display()),
            format!("--git-api-address=127.0.0.1:{git_api}"),
            format!("--configstore-address=127.0.0.1:{configstore}"),
            format!("--actualizer-address=127.0.0.1:{actualizer}"),
        ];
        let roles = Supervised::start(&program, arguments, &environment, &directory.join("lunchbadger.log"))?;
        let directory = directory.to_owned();
        let mut system =
            Self { directory, kubeconfig, namespace, program, git_api, configstore, roles, plane };
        for (role, port) in
            [("git-api", git_api), ("the configstore", configstore), ("the Actualizer", actualizer)]
        {
            system.until_ready(role, port).await?;
        }
        system.write_environment()?;
        Ok(system)
    }

    /// `lunchbadger` with what it needs to reach this system.
    pub(super) fn lunchbadger(&self, arguments: &[&str]) -> Command {
        let mut command = bare(&self.program);
        command
            .arg(format!("--kubeconfig={}", self.kubeconfig.display()))
            .arg(format!("--git-api-url={}", self.git_api_url()))
            .arg(format!("--configstore-url=http://127.0.0.1:{}", self.configstore))
            .arg(format!("--token-file={}", self.token_file().display()))
            .args(arguments)
            .env("CONTROL_PLANE_NAMESPACE", self.namespace);
        command
    }

    /// Base URL of git-api.
    pub(super) fn git_api_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.git_api)
    }

    /// `host:port` of git-api.
    pub(super) fn git_api_host(&self) -> String {
        format!("127.0.0.1:{}", self.git_api)
    }

    /// A client of the cluster.
    pub(super) async fn client(&self) -> Result<kube::Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig).context("read the kubeconfig")?;
        let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.context("use the kubeconfig")?).context("make a client")
    }

    /// Fails where the roles have ended.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        match self.roles.ended() {
            None => Ok(()),
            Some(status) => bail!("lunchbadger up ended ({status}):\n{}", self.roles.log_tail()),
        }
    }

    /// Returns only where a part ends by itself.
    pub(super) async fn until_it_ends(&mut self) -> Result<()> {
        loop {
            self.still_runs()?;
            sleep(Duration::from_millis(500)).await;
        }
    }

    /// Lets the roles end in order, within ten seconds, then the rest.
    pub(super) async fn stop(mut self) {
        let end = Instant::now() + Duration::from_secs(10);
        let mut waiting = self.roles.signal("TERM").is_ok();
        while waiting && Instant::now() < end {
            waiting = self.roles.ended().is_none();
            sleep(Duration::from_millis(50)).await;
        }
        self.roles.kill();
        drop(self.plane);
    }

    /// What a person who sees `ready` can do next.
    pub(super) fn what_to_try(&self) -> String {
        let clone = self.directory.join("repositories/dev");
        format!(
            "In another terminal:\n\n  \
             . {environment}        # lunchbadger and kubectl for this system\n  \
             lunchbadger status {PRODUCER}\n  \
             kubectl get lbproducers,lbgateways,deployments,ingresses --namespace {namespace}\n  \
             kubectl delete deployment --all --namespace {namespace}        # and look again: drift is put back\n  \
             cd {clone}        # edit lunchbadger.json, then:\n  \
             git commit --all --message 'Try something' && git push origin master\n  \
             lunchbadger producers disable {PRODUCER}        # and enable it again\n\n\
             No node runs here: objects are applied, pods stay Pending, so Ready stays False.\n\
             Logs: {log}\nCtrl-C ends it.\n",
            environment = self.directory.join("env").display(),
            namespace = self.namespace,
            clone = clone.display(),
            log = self.directory.join("lunchbadger.log").display(),
        )
    }

    /// Where `lunchbadger up` keeps the operator's token.
    fn token_file(&self) -> PathBuf {
        self.directory.join("data/operator.token")
    }

    async fn until_ready(&mut self, role: &str, port: u16) -> Result<()> {
        say(&format!("waiting for {role} (http://127.0.0.1:{port}/ready)"));
        let begin = Instant::now();
        let mut said = begin;
        loop {
            self.still_runs()?;
            let answer = tokio::task::spawn_blocking(move || ready(port)).await.context("ask for /ready")?;
            let Err(error) = answer else { return Ok(()) };
            if begin.elapsed() > START_DEADLINE {
                bail!("{role} is not ready after {START_DEADLINE:?}: {error:#}\n{}", self.roles.log_tail());
            }
            if said.elapsed() > Duration::from_secs(5) {
                say(&format!("still waiting for {role}: {error:#}"));
                said = Instant::now();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A file to source: `lunchbadger` and `kubectl` that know this system.
    fn write_environment(&self) -> Result<()> {
        let kubectl =
            Binaries::locate().map(|binaries| binaries.kubectl).unwrap_or_else(|_| "kubectl".into());
        let text = format!(
            "export GIT_API_URL='{}' CONFIGSTORE_URL='http://127.0.0.1:{}' LUNCHBADGER_TOKEN_FILE='{}' \
             CONTROL_PLANE_NAMESPACE='{}'\n\
             lunchbadger() {{ '{}' --kubeconfig='{kubeconfig}' \"$@\"; }}\n\
             kubectl() {{ '{}' --kubeconfig='{kubeconfig}' \"$@\"; }}\n",
            self.git_api_url(),
            self.configstore,
            self.token_file().display(),
            self.namespace,
            self.program.display(),
            kubectl.display(),
            kubeconfig = self.kubeconfig.display(),
        );
        fs::write(self.directory.join("env"), text).context("write the file to source")
    }
}

/// Custom resource definitions and the namespace.
fn install(program: &Path, kubeconfig: &Path, namespace: &str) -> Result<()> {
    say("applying the custom resource definitions");
    print!("{}", output(bare(program).arg("--kubeconfig").arg(kubeconfig).args(["crds", "apply"]))?);
    let kubectl = Binaries::locate()?.kubectl;
    let kubectl =
        |arguments: &[&str]| output(bare(&kubectl).arg("--kubeconfig").arg(kubeconfig).args(arguments));
    if kubectl(&["get", "namespace", namespace, "--ignore-not-found", "--output=name"])?.is_empty() {
        kubectl(&["create", "namespace", namespace])?;
    }
    Ok(())
}

/// The port that documentation speaks of, or a free one where somebody has it.
fn port(usual: u16) -> u16 {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, usual)) {
        Ok(_) => usual,
        Err(_) => lb_testkit::free_port(),
    }
}

/// Asks `/ready` once. Written out, because nothing else here needs an HTTP client.
fn ready(port: u16) -> Result<()> {
    let patience = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect")?;
    stream.set_read_timeout(patience).context("set a time limit")?;
    stream.write_all(b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n").context("ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read the answer")?;
    let status = answer.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        bail!("{status} {}", answer.rsplit("\r\n").next().unwrap_or_default().trim());
    }
    Ok(())
}
