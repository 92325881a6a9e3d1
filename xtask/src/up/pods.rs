//! The node on which the example's pods run, and how they fare there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use lb_testkit::control_plane::ControlPlane;
use lb_testkit::images::Images;
use lb_testkit::node::{Node, Options, Platform};
use tokio::time::{Instant, sleep};

use super::system::{NAMESPACE, PRODUCER, System};
use crate::say::{progress, say};

/// How long pods may take to be ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running node with what producers' pods need.
pub(super) struct Pods {
    node: Node,
    platform: Platform,
}

impl Pods {
    /// Starts it, at its port for Ingresses.
    pub(super) async fn start(
        plane: &ControlPlane,
        client: &Client,
        images: Images,
        ingress_port: u16,
    ) -> Result<Self> {
        say("starting a node: containerd, kubelet, kube-scheduler, kube-proxy, CoreDNS, Contour, Envoy");
        let options = Options {
            ingress_port: Some(ingress_port),
            patience: Duration::from_secs(20),
            progress: progress(),
            ..Options::default()
        };
        let node = Node::start(plane, options).await?;
        let platform = Platform::start(&node, client, images, &progress()).await?;
        Ok(Self { node, platform })
    }

    /// Where Ingresses are served.
    pub(super) fn ingress(&self) -> SocketAddrV4 {
        self.node.ingress()
    }

    /// Fails where a part of the node has ended.
    pub(super) fn still_runs(&mut self) -> Result<()> {
        self.node.still_runs()
    }

    /// Settings of the roles, by which pods find what they run and whom they call.
    pub(super) fn settings(&self, git_api: SocketAddr, configstore: SocketAddr) -> BTreeMap<String, String> {
        self.platform.settings(git_api, configstore)
    }
}

/// Waits until the producer's workspace and gateway serve, and says how long each took from its creation.
pub(super) async fn until_ready(system: &mut System) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(system.cluster.client.clone(), NAMESPACE);
    let mut waiting = vec![format!("workspace-{PRODUCER}-dev"), format!("gateway-{PRODUCER}-dev-main")];
    say(&format!("waiting for the pods of {}", waiting.join(" and ")));
    let begin = Instant::now();
    let mut said = begin;
    loop {
        system.still_runs()?;
        let list = deployments.list(&ListParams::default()).await.context("list Deployments")?;
        let ready = list.items.iter().filter(|deployment| is_ready(deployment)).map(ResourceExt::name_any);
        for name in ready {
            if let Some(index) = waiting.iter().position(|waits| *waits == name) {
                waiting.remove(index);
                say(&format!("{name} is ready"));
            }
        }
        if waiting.is_empty() {
            return until_the_app_answers(system, begin).await;
        }
        if said.elapsed() > Duration::from_secs(5) || begin.elapsed() > PATIENCE {
            let why = reasons(system).await?;
            if begin.elapsed() > PATIENCE {
                bail!("{} not ready after {PATIENCE:?}: {why}", waiting.join(" and "));
            }
            say(&format!("still waiting for {}: {why}", waiting.join(" and ")));
            said = Instant::now();
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the producer's own app answers at its public host.
async fn until_the_app_answers(system: &mut System, begin: Instant) -> Result<()> {
    let (ingress, host) =
        (system.ingress().context("no node runs")?, format!("{PRODUCER}-dev.lunchbadger.io"));
    let http = lb_testkit::http_client()?;
    let url = format!("http://{ingress}/api/cars");
    loop {
        system.still_runs()?;
        let answer = http.get(&url).header("host", &host).timeout(Duration::from_secs(5)).send().await;
        let said = match answer {
            Ok(answer) if answer.status().is_success() => {
                say(&format!("{PRODUCER}'s app answers GET /api/cars at {host}"));
                return Ok(());
            }
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        if begin.elapsed() > PATIENCE {
            bail!("the app at {host} does not answer after {PATIENCE:?}: {said}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Whether all pods of the newest template serve, and no others.
fn is_ready(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    status.observed_generation == deployment.metadata.generation
        && [status.updated_replicas, status.ready_replicas, status.replicas]
            .iter()
            .all(|n| *n == Some(wanted))
}

/// What holds pods up, as kubelet says it.
async fn reasons(system: &System) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(system.cluster.client.clone(), NAMESPACE);
    let list = pods.list(&ListParams::default()).await.context("list pods")?;
    let mut lines = Vec::new();
    for pod in &list.items {
        let Some(status) = &pod.status else { continue };
        let of = [&status.init_container_statuses, &status.container_statuses];
        let all = of.into_iter().flatten().flatten();
        let unready = all.filter_map(|container| Some(format!("{} {}", container.name, reason(container)?)));
        let unready: Vec<String> = unready.collect();
        if !unready.is_empty() {
            lines.push(format!("{} ({})", pod.name_any(), unready.join(", ")));
        }
    }
    Ok(lines.join("; "))
}

fn reason(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        return Some(waiting.reason.clone().unwrap_or_else(|| "waits".to_owned()));
    }
    if let Some(ended) = &state.terminated {
        return (ended.exit_code != 0).then(|| format!("ended with {}", ended.exit_code));
    }
    (!container.ready).then(|| "is not ready".to_owned())
}

/// Where the node keeps everything, in the directory of `up`.
pub(super) fn logs(directory: &Path) -> std::path::PathBuf {
    directory.join("cluster/node/logs")
}
