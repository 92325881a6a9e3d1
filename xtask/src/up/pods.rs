//! The node on which the example's pods run, and what they need there.

use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Secret, Service};
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use lb_testkit::control_plane::ControlPlane;
use lb_testkit::node::{ADDRESS, INGRESS_CLASS, Node, Options};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::system::{NAMESPACE, PRODUCER, System};
use crate::images::Images;
use crate::say::{progress, say};

/// Redis as the Actualizer's settings have it by default: `eg-identity-redis.default`.
const REDIS: &str = "eg-identity-redis";
/// How long pods may take to be ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// A running node with the images of producers' pods and a Redis.
pub(super) struct Pods {
    node: Node,
    images: Images,
    redis_password: String,
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
        for image in images.all() {
            say(&format!("importing {}:{}", image.repository, image.tag));
            node.import(&image.archive).await?;
        }
        let redis_password = lb_testkit::unique_secret("redis")?;
        let pods = Self { node, images, redis_password };
        pods.start_redis(client).await?;
        Ok(pods)
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
        let Images { pod, workspace, gateway, redis: _ } = &self.images;
        let images = [
            ("LBWS_IMAGE", "LBWS_VERSION", workspace),
            ("LBSLS_IMAGE", "LBSLS_VERSION", pod),
            ("GIT_INIT_IMAGE", "GIT_INIT_VERSION", pod),
            ("GATEWAY_IMAGE", "GATEWAY_VERSION", gateway),
        ];
        let mut settings = BTreeMap::from([
            ("GIT_API_HOST", git_api.to_string()),
            ("CONFIGSTORE_HOST", configstore.to_string()),
            ("CONTROL_PLANE_CIDRS", format!("{ADDRESS}/32")),
            ("INGRESS_CLASS", INGRESS_CLASS.to_owned()),
            // Nothing makes a Redis user for each producer yet.
            ("REDIS_ACL", "off".to_owned()),
            ("REDIS_PASSWORD", self.redis_password.clone()),
        ]);
        for (name, version, image) in images {
            settings.extend([(name, image.repository.clone()), (version, image.tag.clone())]);
        }
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Its password stands in a Secret and in no argument.
    async fn start_redis(&self, client: &Client) -> Result<()> {
        let labels = json!({"app": REDIS});
        let metadata = json!({"name": REDIS, "labels": labels});
        let lines = ["bind * -::*", "save \"\"", "appendonly no", "dir /tmp"].join("\n");
        let text = format!("{lines}\nrequirepass {}\n", self.redis_password);
        create::<Secret>(client, json!({"metadata": metadata, "stringData": {"redis.conf": text}})).await?;
        let ports = json!([{"port": 6379, "targetPort": 6379}]);
        create::<Service>(
            client,
            json!({"metadata": metadata, "spec": {"selector": labels, "ports": ports}}),
        )
        .await?;
        let template = json!({"metadata": {"labels": labels}, "spec": self.redis_pod()});
        let spec = json!({"selector": {"matchLabels": labels}, "template": template});
        create::<Deployment>(client, json!({"metadata": metadata, "spec": spec})).await
    }

    fn redis_pod(&self) -> Value {
        let redis = &self.images.redis;
        json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "redis",
                "image": format!("{}:{}", redis.repository, redis.tag),
                "args": ["/etc/lunchbadger/redis.conf"],
                "ports": [{"containerPort": 6379}],
                "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true,
                },
                "volumeMounts": [
                    {"name": "configuration", "mountPath": "/etc/lunchbadger", "readOnly": true},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
            }],
            "volumes": [
                {"name": "configuration", "secret": {"secretName": REDIS}},
                {"name": "tmp", "emptyDir": {}},
            ],
        })
    }
}

async fn create<K>(client: &Client, object: Value) -> Result<()>
where
    K: Resource,
    K::DynamicType: Default,
{
    let kind = ApiResource::erase::<K>(&K::DynamicType::default());
    let what = format!("create {} {REDIS}", kind.kind);
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &kind);
    let object = serde_json::from_value(object).with_context(|| what.clone())?;
    api.create(&PostParams::default(), &object).await.map(drop).context(what)
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
            return Ok(());
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
