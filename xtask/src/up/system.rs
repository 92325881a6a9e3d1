//! The parts of the running system and how they are reached.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use lb_testkit::control_plane::{ControlPlane, Options};
use lb_testkit::gitea::Gitea;
use lb_testkit::process::Supervised;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::footprint;
use super::git_host::GitHost;
use crate::command::output;
use crate::say::{progress, say};

/// The example's producer.
pub(super) const PRODUCER: &str = "al";
/// Where its objects go in a cluster of our own, as in production.
const NAMESPACE: &str = "customer";
/// The file in the directory to which the roles log.
const LOG: &str = "lunchbadger.log";
/// How long the roles may take to be ready.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The programs that it takes.
pub(super) struct Programs {
    /// `lunchbadger`.
    pub(super) lunchbadger: PathBuf,
    /// `kubectl`.
    pub(super) kubectl: PathBuf,
}

/// A running system.
pub(super) struct System {
    /// Where everything is.
    pub(super) directory: PathBuf,
    /// The cluster.
    pub(super) cluster: Cluster,
    /// The namespace of producers' objects.
    pub(super) namespace: &'static str,
    programs: Programs,
    git_api: u16,
    configstore: u16,
    roles: Supervised,
    // Ended after the roles, which speak to it.
    _gitea: Option<Gitea>,
    plane: Option<ControlPlane>,
}

impl System {
    /// Starts the control plane of Kubernetes (unless a cluster is named), then that of LunchBadger.
    pub(super) async fn start(
        directory: &Path,
        git: &GitHost,
        named: Option<Cluster>,
        programs: Programs,
    ) -> Result<Self> {
        let (plane, cluster, namespace) = match named {
            Some(cluster) => {
                footprint::begin(&cluster).await?;
                (None, cluster, footprint::NAMESPACE)
            }
            None => {
                let (plane, cluster) = own_cluster(directory).await?;
                (Some(plane), cluster, NAMESPACE)
            }
        };
        say("applying the custom resource definitions");
        print!("{}", output(cluster.command(&programs.lunchbadger).args(["crds", "apply"]))?);
        let (git_api, configstore, actualizer) = (port(8080), port(3002), port(9090));
        let watcher = port(7788);
        let (gitea, mut environment) = git.start(directory).await?;
        environment.extend([
            ("ACTUALIZER_TARGET_NAMESPACE".to_owned(), namespace.to_owned()),
            ("CONTROL_PLANE_NAMESPACE".to_owned(), namespace.to_owned()),
        ]);
        say("starting lunchbadger up");
        let arguments = [
            "up".to_owned(),
            format!("--kubeconfig={}", cluster.kubeconfig.display()),
            format!("--data-dir={}", directory.join("data").display()),
            format!("--git-api-address=127.0.0.1:{git_api}"),
            format!("--configstore-address=127.0.0.1:{configstore}"),
            format!("--watcher-address=127.0.0.1:{watcher}"),
            format!("--actualizer-address=127.0.0.1:{actualizer}"),
        ];
        let log = directory.join(LOG);
        let roles = Supervised::start(&programs.lunchbadger, arguments, &environment, &log)?;
        let directory = directory.to_owned();
        let mut system = Self {
            directory,
            cluster,
            namespace,
            programs,
            git_api,
            configstore,
            roles,
            _gitea: gitea,
            plane,
        };
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
        let mut command = self.cluster.command(&self.programs.lunchbadger);
        command
            .arg(format!("--git-api-url={}", self.git_api_url()))
            .arg(format!("--configstore-url=http://127.0.0.1:{}", self.configstore))
            .arg(format!("--token-file={}", self.token_file().display()))
            .args(arguments)
            .env("CONTROL_PLANE_NAMESPACE", self.namespace);
        command
    }

    /// `kubectl` for this cluster.
    pub(super) fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.cluster.command(&self.programs.kubectl);
        command.args(arguments);
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

    /// Fails where a part has ended.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        if let Some(plane) = &mut self.plane {
            plane.still_runs()?;
        }
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
        self.roles.end().await;
        drop(self.plane);
    }

    /// What a person who sees `ready` can do next. Indented are commands of a shell, to be run from the first to the last.
    pub(super) fn what_to_try(&self) -> String {
        let System { directory, namespace, .. } = self;
        format!(
            "\
To try in another terminal, where this lets `lunchbadger` and `kubectl` speak of this system:

    . {environment}

What stands, and where it comes from:

    lunchbadger status {PRODUCER}
    lunchbadger why deployment/gateway-{PRODUCER}-dev-main

Edit an object, delete others, and see all put back:

    kubectl set image deployment/gateway-{PRODUCER}-dev-main gateway=mine --namespace {namespace}
    kubectl delete deployments --all --namespace {namespace}
    kubectl get deployments --output wide --namespace {namespace}

Break the project: the push says where, and what runs stays as it is. Mend it:

    cd {clone}
    echo '{{' > lunchbadger.json
    git commit --all --message 'Break it' && git push origin master
    lunchbadger status {PRODUCER}
    git revert --no-edit HEAD && git push origin master

Switch the producer off, and everything but its credentials goes. Switch it on again:

    lunchbadger producers disable {PRODUCER}
    kubectl get deployments,secrets --namespace {namespace}
    lunchbadger producers enable {PRODUCER}

No node runs here: objects are applied, pods stay Pending, so Ready stays False.
Logs: {log}
Ctrl-C ends it.
",
            environment = directory.join("env").display(),
            clone = directory.join("repositories/dev").display(),
            log = directory.join(LOG).display(),
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
        let text = format!(
            "export GIT_API_URL='{}' CONFIGSTORE_URL='http://127.0.0.1:{}' LUNCHBADGER_TOKEN_FILE='{}' \
             CONTROL_PLANE_NAMESPACE='{}'\n\
             lunchbadger() {{ '{}' --kubeconfig='{kubeconfig}' \"$@\"; }}\n\
             kubectl() {{ '{}' --kubeconfig='{kubeconfig}' \"$@\"; }}\n",
            self.git_api_url(),
            self.configstore,
            self.token_file().display(),
            self.namespace,
            self.programs.lunchbadger.display(),
            self.programs.kubectl.display(),
            kubeconfig = self.cluster.kubeconfig.display(),
        );
        fs::write(self.directory.join("env"), text).context("write the file to source")
    }
}

/// Starts a control plane of our own, with the namespace.
async fn own_cluster(directory: &Path) -> Result<(ControlPlane, Cluster)> {
    say("starting etcd, kube-apiserver and kube-controller-manager");
    let directory = Some(directory.join("cluster"));
    let plane =
        ControlPlane::start(Options { directory, audit: false, progress: progress(), ..Options::default() })
            .await?;
    let cluster = Cluster::of(&plane.kubeconfig()).await?;
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let created = Api::all(cluster.client.clone()).create(&PostParams::default(), &namespace).await;
    created.with_context(|| format!("create namespace {NAMESPACE}"))?;
    Ok((plane, cluster))
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
