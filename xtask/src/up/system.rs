//! The parts of the running system and how they are reached.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use lb_testkit::control_plane::{ControlPlane, Options};
use lb_testkit::gitea::Gitea;
use lb_testkit::images::Images;
use lb_testkit::node::ADDRESS;
use lb_testkit::process::Supervised;
use tokio::time::{Instant, sleep};

use super::cluster::Cluster;
use super::footprint;
use super::git_host::GitHost;
use super::pods::{self, Pods};
use crate::command::output;
use crate::say::{progress, say};

/// The example's producer.
pub(super) const PRODUCER: &str = "al";
/// Where its objects go in a cluster of our own, as in production.
pub(super) const NAMESPACE: &str = "customer";
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
    git_api: SocketAddr,
    configstore: SocketAddr,
    roles: Supervised,
    // Ended after the roles, which speak to it.
    _gitea: Option<Gitea>,
    // Before the control plane, of which it is a part.
    pods: Option<Pods>,
    plane: Option<ControlPlane>,
}

impl System {
    /// Starts the control plane of Kubernetes with a node for these images (unless a cluster is named), then that of
    /// LunchBadger.
    pub(super) async fn start(
        directory: &Path,
        git: &GitHost,
        named: Option<Cluster>,
        programs: Programs,
        images: Option<Images>,
    ) -> Result<Self> {
        let (plane, cluster, namespace) = match named {
            Some(cluster) => {
                footprint::begin(&cluster).await?;
                (None, cluster, footprint::NAMESPACE)
            }
            None => {
                let (plane, cluster) = own_cluster(directory, images.is_some()).await?;
                (Some(plane), cluster, NAMESPACE)
            }
        };
        say("applying the custom resource definitions");
        print!("{}", output(cluster.command(&programs.lunchbadger).args(["crds", "apply"]))?);
        let pods = match (&plane, images) {
            (Some(plane), Some(images)) => {
                Some(Pods::start(plane, &cluster.client, images, port(Ipv4Addr::LOCALHOST, 8000)).await?)
            }
            _ => None,
        };
        // Where pods run, they have to reach these two; nobody else's network does.
        let host = if pods.is_some() { ADDRESS } else { Ipv4Addr::LOCALHOST };
        let at = |usual| SocketAddr::from((host, port(host, usual)));
        let (git_api, configstore) = (at(8080), at(3002));
        let here = |usual| SocketAddr::from((Ipv4Addr::LOCALHOST, port(Ipv4Addr::LOCALHOST, usual)));
        let (watcher, actualizer) = (here(7788), here(9090));
        let (gitea, mut environment) = git.start(directory).await?;
        environment.extend(pods.iter().flat_map(|pods| pods.settings(git_api, configstore)));
        environment.extend([
            ("ACTUALIZER_TARGET_NAMESPACE".to_owned(), namespace.to_owned()),
            ("CONTROL_PLANE_NAMESPACE".to_owned(), namespace.to_owned()),
        ]);
        say("starting lunchbadger up");
        let arguments = [
            "up".to_owned(),
            format!("--kubeconfig={}", cluster.kubeconfig.display()),
            format!("--data-dir={}", directory.join("data").display()),
            format!("--git-api-address={git_api}"),
            format!("--configstore-address={configstore}"),
            format!("--watcher-address={watcher}"),
            format!("--actualizer-address={actualizer}"),
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
            pods,
            plane,
        };
        for (role, address) in
            [("git-api", git_api), ("the configstore", configstore), ("the Actualizer", actualizer)]
        {
            system.until_ready(role, address).await?;
        }
        system.write_environment()?;
        Ok(system)
    }

    /// `lunchbadger` with what it needs to reach this system.
    pub(super) fn lunchbadger(&self, arguments: &[&str]) -> Command {
        let mut command = self.cluster.command(&self.programs.lunchbadger);
        command
            .arg(format!("--git-api-url={}", self.git_api_url()))
            .arg(format!("--configstore-url=http://{}", self.configstore))
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
        format!("http://{}", self.git_api)
    }

    /// `host:port` of git-api.
    pub(super) fn git_api_host(&self) -> String {
        self.git_api.to_string()
    }

    /// Fails where a part has ended.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        if let Some(plane) = &mut self.plane {
            plane.still_runs()?;
        }
        if let Some(pods) = &mut self.pods {
            pods.still_runs()?;
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

    /// Where Ingresses are served, where pods run here.
    pub(super) fn ingress(&self) -> Option<SocketAddrV4> {
        self.pods.as_ref().map(Pods::ingress)
    }

    /// Whether pods run here.
    pub(super) fn has_node(&self) -> bool {
        self.pods.is_some()
    }

    /// Lets the roles end in order, within ten seconds, then the rest.
    pub(super) async fn stop(mut self) {
        self.roles.end().await;
        drop(self.pods);
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

{pods}
Logs: {log}
Ctrl-C ends it.
",
            pods = self.about_pods(),
            environment = directory.join("env").display(),
            clone = directory.join("repositories/dev").display(),
            log = directory.join(LOG).display(),
        )
    }

    fn about_pods(&self) -> String {
        let Some(pods) = &self.pods else {
            return "No node runs here: objects are applied, pods stay Pending, so Ready stays False."
                .to_owned();
        };
        let (ingress, logs) = (pods.ingress(), pods::logs(&self.directory));
        format!(
            "Pods run on a node of this machine. Hosts of Ingresses are served at http://{ingress}:\n\n\
             \x20   curl --header 'Host: {PRODUCER}-dev.lunchbadger.io' http://{ingress}/api/cars\n\n\
             Logs of the node: {}",
            logs.display()
        )
    }

    /// Where `lunchbadger up` keeps the operator's token.
    fn token_file(&self) -> PathBuf {
        self.directory.join("data/operator.token")
    }

    async fn until_ready(&mut self, role: &str, address: SocketAddr) -> Result<()> {
        say(&format!("waiting for {role} (http://{address}/ready)"));
        let begin = Instant::now();
        let mut said = begin;
        loop {
            self.still_runs()?;
            let answer =
                tokio::task::spawn_blocking(move || ready(address)).await.context("ask for /ready")?;
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
            "export GIT_API_URL='{}' CONFIGSTORE_URL='http://{}' LUNCHBADGER_TOKEN_FILE='{}' \
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
async fn own_cluster(directory: &Path, node: bool) -> Result<(ControlPlane, Cluster)> {
    say("starting etcd, kube-apiserver and kube-controller-manager");
    let directory = Some(directory.join("cluster"));
    let plane = ControlPlane::start(Options {
        directory,
        audit: false,
        node,
        progress: progress(),
        ..Options::default()
    })
    .await?;
    let cluster = Cluster::of(&plane.kubeconfig()).await?;
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    let created = Api::all(cluster.client.clone()).create(&PostParams::default(), &namespace).await;
    created.with_context(|| format!("create namespace {NAMESPACE}"))?;
    Ok((plane, cluster))
}

/// The port that documentation speaks of, or a free one where somebody has it.
fn port(host: Ipv4Addr, usual: u16) -> u16 {
    match TcpListener::bind((host, usual)) {
        Ok(_) => usual,
        Err(_) => lb_testkit::free_port(),
    }
}

/// Asks `/ready` once. Written out, because nothing else here needs an HTTP client.
fn ready(address: SocketAddr) -> Result<()> {
    let patience = Some(Duration::from_secs(5));
    let mut stream = TcpStream::connect(address).context("connect")?;
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
