//! A real node: a pod as ours are runs, and is reached by its Service's name and through the Ingress.
#![expect(clippy::unwrap_used, reason = "a helper of tests reports by failing the test")]

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, PostParams};
use kube::{Api, Client};
use lb_testkit::cluster::User;
use lb_testkit::control_plane::{self, ControlPlane};
use lb_testkit::node::{INGRESS_CLASS, Node, Options};
use lb_testkit::{eventually_within, http_client, images, skip};
use serde_json::{Value, json};

const NAMESPACE: &str = "customer";
/// A pod takes seconds to start, and longer on a busy machine.
const START: Duration = Duration::from_secs(120);

/// A control plane with a node. Fields are dropped in their order.
struct World {
    node: Node,
    client: Client,
    _plane: ControlPlane,
}

impl World {
    async fn start() -> Self {
        let options =
            control_plane::Options { audit: false, node: true, ..control_plane::Options::default() };
        let plane = ControlPlane::start(options).await.unwrap();
        let node = Node::start(&plane, Options::default()).await.unwrap();
        node.import(&images::busybox().unwrap()).await.unwrap();
        let client = control_plane::client(&plane.kubeconfig(), User::Admin).await.unwrap();
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        let namespace = json!({"metadata": {"name": NAMESPACE, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        Self { node, client, _plane: plane }
    }

    async fn create<T>(&self, object: Value)
    where
        T: kube::Resource,
        T::DynamicType: Default,
    {
        let kind = ApiResource::erase::<T>(&T::DynamicType::default());
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), NAMESPACE, &kind);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
}

/// A pod as Pod Security `restricted` wants them, that runs busybox.
fn pod(script: &str) -> Value {
    json!({
        "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "restartPolicy": "Always",
        "containers": [{
            "name": "web",
            "image": images::BUSYBOX,
            "args": ["sh", "-c", script],
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            },
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        }],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    })
}

const WEB: &str = "cd /tmp && id -u >index.html && grep Seccomp: /proc/self/status >>index.html; \
                   touch /of-the-image 2>>index.html; exec busybox httpd -f -p 8080 -h /tmp";

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_pod_answers_by_its_services_name_and_through_the_ingress() {
    if !skip::needs_node() {
        return;
    }
    let world = World::start().await;
    let labels = json!({"app": "web"});
    world
        .create::<Deployment>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod(WEB)},
            },
        }))
        .await;
    world
        .create::<Service>(json!({
            "metadata": {"name": "web"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]},
        }))
        .await;
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    world
        .create::<Ingress>(json!({
            "metadata": {"name": "web"},
            "spec": {
                "ingressClassName": INGRESS_CLASS,
                "rules": [{"host": "web.example", "http": {"paths": [
                    {"path": "/", "pathType": "Prefix", "backend": backend},
                ]}}],
            },
        }))
        .await;
    through_the_ingress(&world).await;
    by_its_name(&world).await;
}

async fn through_the_ingress(world: &World) {
    let (http, address) = (http_client().unwrap(), world.node.ingress());
    let ask = async |host: &str| {
        let answer = http.get(format!("http://{address}/")).header("host", host).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        Ok::<_, String>((status, answer.text().await.map_err(|error| error.to_string())?))
    };
    let page = eventually_within("the ingress controller answers from the pod", START, async || {
        match ask("web.example").await? {
            (200, page) => Ok(page),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines[..2], ["65534", "Seccomp:\t2"], "not root, and a filter of system calls");
    assert!(page.contains("Read-only file system"), "{page}");
    assert_eq!(ask("other.example").await.unwrap().0, 404);
}

async fn by_its_name(world: &World) {
    let script = format!(
        "until busybox wget -q -O - http://web.{NAMESPACE}/; do busybox usleep 100000; done; \
                          echo name; exec busybox tail -f /dev/null"
    );
    world.create::<Pod>(json!({"metadata": {"name": "client"}, "spec": pod(&script)})).await;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    let said = eventually_within("another pod finds the Service by its name", START, async || {
        let logs = pods.logs("client", &LogParams::default()).await.map_err(|error| error.to_string())?;
        if logs.contains("name") { Ok(logs) } else { Err(logs) }
    })
    .await;
    assert!(said.contains("65534"), "{said}");
    assert_eq!(pods.list(&ListParams::default()).await.unwrap().items.len(), 2);
}
