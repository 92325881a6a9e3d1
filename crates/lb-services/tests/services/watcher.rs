//! The watcher beside a real API server with its controllers: no node is there, so that the tests say how pods are.

use std::collections::BTreeSet;
use std::time::Duration;

use client::Messages;
use futures::StreamExt;
use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use lb_cluster::{Cluster, Options, Target};
use lb_testkit::clock::ManualClock;
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane;
use lb_testkit::eventually;
use lb_vocab::Clock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::world::{World, answer, token, user};

const NOTHING: &str = r#"{"gateway":{},"workspace":{},"sls-api":{},"kubeless-fn":{}}"#;
const GATEWAY: &str = "gateway-al-dev-main";

mod client {
    //! One client of the watcher.

    use futures::StreamExt;
    use futures::stream::BoxStream;
    use lb_http::contract::SseDecoder;
    use serde_json::Value;
    use tokio::time::{Duration, timeout};

    /// How long a message may take on a busy machine.
    const SOON: Duration = Duration::from_secs(60);

    /// The messages of one stream.
    pub(super) struct Messages {
        pieces: BoxStream<'static, Vec<u8>>,
        decoder: SseDecoder,
        waiting: std::collections::VecDeque<String>,
        /// How many came so far.
        pub(super) count: usize,
    }

    impl Messages {
        pub(super) fn of(response: reqwest::Response) -> Self {
            let pieces = response.bytes_stream();
            let pieces =
                pieces.filter_map(|piece| std::future::ready(piece.ok().map(|bytes| bytes.to_vec())));
            let decoder = SseDecoder::new("the watcher", 1 << 22);
            Self { pieces: pieces.boxed(), decoder, waiting: std::collections::VecDeque::new(), count: 0 }
        }

        /// The next message, as text; `None`: the stream has ended.
        pub(super) async fn text(&mut self) -> Option<String> {
            loop {
                if let Some(text) = self.waiting.pop_front() {
                    self.count += 1;
                    return Some(text);
                }
                let piece = timeout(SOON, self.pieces.next()).await.expect("a message in time")?;
                for event in self.decoder.push(&piece).unwrap() {
                    assert_eq!(event.event, "", "messages are of the default type");
                    self.waiting.push_back(event.data);
                }
            }
        }

        /// Reads until a message is as it should be.
        pub(super) async fn until(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
            let mut last = Value::Null;
            loop {
                let text =
                    timeout(SOON, self.text()).await.unwrap_or_else(|_| panic!("{what}; last: {last:#}"));
                last = serde_json::from_str(&text.expect("the stream goes on")).unwrap();
                if good(&last) {
                    return last;
                }
            }
        }
    }
}

/// Services beside a cluster, and the namespace of producers' objects.
pub(crate) async fn beside(kubernetes: &TestCluster, variables: &[(&str, &str)]) -> (World, String) {
    beside_at(kubernetes, lb_testkit::clock::system(), variables).await
}

/// The same by a clock.
async fn beside_at(kubernetes: &TestCluster, clock: Clock, variables: &[(&str, &str)]) -> (World, String) {
    let namespace = kubernetes.namespace("customer").await;
    let target =
        Target::Kubeconfig { path: kubernetes.kubeconfig().to_owned(), context: Some("admin".into()) };
    let cluster = Cluster::connect(&target, &Options::default()).await.unwrap();
    let own = [("ACTUALIZER_TARGET_NAMESPACE", namespace.as_str())];
    let variables = [&own, variables].concat();
    let world = World::over(Some(cluster), clock, &variables).await.populate().await;
    watching(&world).await;
    (world, namespace)
}

/// Waits until the watcher has read its lists.
pub(crate) async fn watching(world: &World) {
    eventually("the watcher is ready", || async {
        let url = format!("http://{}/ready", world.watcher.unwrap());
        let (status, body) = answer(world.http.get(url)).await;
        if status == 200 { Ok(()) } else { Err(body.to_string()) }
    })
    .await;
}

impl World {
    fn channel(&self, role: &str, channel: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}/v2/channels/{channel}", self.watcher.unwrap());
        self.http.get(url).bearer_auth(token(role).reveal())
    }

    async fn messages(&self, channel: &str) -> Messages {
        let response = self.channel("operator", channel).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Messages::of(response)
    }
}

fn labels(app: &str) -> Value {
    let mut labels = json!({"producer": "al", "environment": "dev", "app": app});
    if app == "gateway" {
        labels["id"] = json!("g-1");
        labels["instance"] = json!("main");
    }
    labels
}

async fn create<K>(client: &Client, namespace: &str, object: Value)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    Api::<K>::namespaced(client.clone(), namespace).create(&PostParams::default(), &object).await.unwrap();
}

/// A pod that no controller made.
async fn bare_pod(client: &Client, namespace: &str, name: &str) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels("workspace")},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    create::<Pod>(client, namespace, pod).await;
}

/// The gateway's Deployment and Service; the real controllers make pods of the one.
async fn gateway(client: &Client, namespace: &str) {
    let (labels, selector) = (labels("gateway"), json!({"producer": "al", "app": "gateway"}));
    let metadata = json!({"name": GATEWAY, "labels": labels});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": selector},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"selector": selector, "ports": [{"port": 80, "targetPort": 8080}]},
    });
    create::<Deployment>(client, namespace, deployment).await;
    create::<Service>(client, namespace, service).await;
}

/// What the controller of EndpointSlices, for which it takes nodes, makes of the gateway's Service: the Service's labels and
/// one of its own, and the pod.
async fn endpoint(client: &Client, namespace: &str, pod: &str, ready: bool) {
    let mut labels = labels("gateway");
    labels["kubernetes.io/service-name"] = json!(GATEWAY);
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": GATEWAY, "labels": labels},
        "addressType": "IPv4", "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": ["10.244.0.7"], "conditions": {"ready": ready},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace},
        }],
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    slices.patch(GATEWAY, &PatchParams::apply("test").force(), &Patch::Apply(slice)).await.unwrap();
}

async fn set_status(client: &Client, namespace: &str, pod: &str, status: Value) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = json!({ "status": status });
    pods.patch_status(pod, &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
}

/// What kubelet says of a pod whose container runs, or has ended with an error.
fn running(ready: bool) -> Value {
    let said = if ready { "True" } else { "False" };
    let state = if ready {
        json!({"running": {"startedAt": "2026-01-02T03:04:06Z"}})
    } else {
        json!({"terminated": {"exitCode": 1, "reason": "Error"}})
    };
    json!({
        "phase": "Running", "startTime": "2026-01-02T03:04:05Z",
        "podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}],
        "conditions": [{"type": "ContainersReady", "status": said}, {"type": "Ready", "status": said}],
        "containerStatuses": [{
            "name": "c", "ready": ready, "image": "i", "imageID": "", "restartCount": 0, "state": state,
        }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_cluster_is_told_as_it_changes() {
    let shared = TestCluster::shared().await;
    let (world, namespace) = beside(shared, &[]).await;
    let client = shared.client().await;
    let mut messages = world.messages("al-dev").await;
    assert_eq!(messages.text().await.as_deref(), Some(NOTHING), "at once, and in this order");
    gateway(&client, &namespace).await;
    let of = |state: &Value| state["gateway"]["g-1"].clone();
    let state = messages
        .until("a pod is there", |state| !of(state)["pods"].as_object().is_none_or(serde_json::Map::is_empty))
        .await;
    let deployment = json!({"inProgress": true, "latestReady": false, "latestFailed": false});
    assert_eq!(of(&state)["status"], json!({"running": false, "deployment": deployment}), "{state:#}");
    let pod = of(&state)["pods"].as_object().unwrap().keys().next().unwrap().clone();

    set_status(&client, &namespace, &pod, running(true)).await;
    endpoint(&client, &namespace, &pod, true).await;
    let state = messages
        .until("it serves and the roll-out is done", |state| {
            let status = &of(state)["status"];
            status["running"] == true && status["deployment"]["inProgress"] == false
        })
        .await;
    let deployment = json!({"inProgress": false, "latestReady": true, "latestFailed": false});
    let told = json!({
        "status": {"running": true, "deployment": deployment},
        "pods": {&pod: {
            "ready": true, "containersready": true, "servesRequests": true, "failed": false, "stopped": false,
            "startTime": "2026-01-02T03:04:05Z",
        }},
    });
    assert_eq!(of(&state), told, "{state:#}");
    assert_eq!(
        (&state["workspace"], &state["sls-api"], &state["kubeless-fn"]),
        (&json!({}), &json!({}), &json!({}))
    );

    let mut late = world.messages("al-dev").await;
    late.until("who comes later gets the state at once", |state| of(state) == told).await;
    assert_eq!(late.count, 1);

    set_status(&client, &namespace, &pod, running(false)).await;
    endpoint(&client, &namespace, &pod, false).await;
    let state = messages
        .until("it crashed, and serves no more", |state| {
            let now = of(state);
            now["status"]["running"] == false && now["pods"][&pod]["failed"] == true
        })
        .await;
    let deployment = &of(&state)["status"]["deployment"];
    assert_eq!(
        (&deployment["latestReady"], &deployment["latestFailed"]),
        (&json!(false), &json!(true)),
        "{state:#}"
    );

    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    deployments.delete(GATEWAY, &DeleteParams::background()).await.unwrap();
    // Nobody stops the containers: no node is there.
    let pods: Api<Pod> = Api::namespaced(client, &namespace);
    eventually("the pods are gone", || async {
        let list = pods.list(&ListParams::default()).await.unwrap();
        for pod in &list {
            let name = pod.metadata.name.as_deref().unwrap();
            let _ = pods.delete(name, &DeleteParams::default().grace_period(0)).await;
        }
        if list.items.is_empty() { Ok(()) } else { Err(list.items.len()) }
    })
    .await;
    let nothing: Value = serde_json::from_str(NOTHING).unwrap();
    messages.until("nothing is left", |state| *state == nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_reaches_two_hundred_clients_and_those_of_another_hear_nothing() {
    let shared = TestCluster::shared().await;
    let (world, namespace) = beside(shared, &[]).await;
    let client = shared.client().await;
    let mut all = join_all((0..200).map(|_| world.messages("al-dev"))).await;
    let mut other = world.messages("bob-dev").await;
    for messages in all.iter_mut().chain([&mut other]) {
        assert_eq!(messages.text().await.as_deref(), Some(NOTHING));
    }
    bare_pod(&client, &namespace, "workspace-al-dev-1").await;
    let seen = |state: &Value| state["workspace"]["default"]["pods"]["workspace-al-dev-1"].is_object();
    join_all(all.iter_mut().map(|messages| messages.until("the pod", seen))).await;
    world.shutdown.cancel();
    assert_eq!(other.text().await, None, "bob's stream ends at shutdown, and told nothing before");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_come_together_are_told_together_and_the_newest_last() {
    let shared = TestCluster::shared().await;
    let (world, namespace) = beside(shared, &[]).await;
    let client = shared.client().await;
    let mut messages = world.messages("al-dev").await;
    let names: Vec<String> = (0..100).map(|n| format!("workspace-al-dev-{n}")).collect();
    let creating = names.iter().map(|name| bare_pod(&client, &namespace, name));
    // Nobody reads meanwhile.
    futures::stream::iter(creating).buffer_unordered(20).collect::<Vec<()>>().await;
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let whole = |state: &Value| {
        let pods = state["workspace"]["default"]["pods"].as_object();
        pods.is_some_and(|pods| pods.keys().map(String::as_str).collect::<BTreeSet<_>>() == wanted)
    };
    messages.until("all pods", whole).await;
    assert!(messages.count < names.len(), "{} messages of {} changes", messages.count, names.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_limited_and_a_place_comes_back() {
    let (world, _) = beside(TestCluster::shared().await, &[("WATCHER_CLIENTS", "3")]).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(world.messages("al-dev").await);
    }
    let refused = world.channel("operator", "al-dev").send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    open.pop();
    eventually("the place of who went is free", || async {
        let status = world.channel("operator", "al-dev").send().await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_with_a_token_for_the_watcher_and_see_what_they_may_read() {
    let (world, _) = beside(TestCluster::shared().await, &[]).await;
    let secret = world.git("system").create_token(&user("carl"), "laptop").await.unwrap();
    let issue = async |audience: &str| {
        let request = world.http.post(format!("http://{}/login/token", world.git_api));
        let request = request.basic_auth("customer-carl", Some(secret.reveal()));
        let (status, body) = answer(request.json(&json!({ "audience": audience }))).await;
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().unwrap().to_owned()
    };
    let (right, wrong) = (issue("watcher").await, issue("configstore").await);
    let url = |channel: &str| format!("http://{}/v2/channels/{channel}", world.watcher.unwrap());
    for (channel, shown, expected) in [
        ("al-dev", &right, 200),
        ("al-prod", &right, 200),
        ("bob-dev", &right, 403),
        ("al", &right, 403),
        ("nobody-dev", &right, 403),
        ("al-dev", &wrong, 401),
    ] {
        let request =
            world.http.get(url(channel)).bearer_auth(shown).header("origin", "https://ui.example.com");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), expected, "{channel}");
        assert_eq!(response.headers()["access-control-allow-origin"], "https://ui.example.com");
    }
    // The operator is told what is wrong; an environment that nobody knows has nothing.
    assert_eq!(world.channel("operator", "al").send().await.unwrap().status(), 400);
    assert_eq!(world.messages("nobody-dev").await.text().await.as_deref(), Some(NOTHING));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_s_stream_ends_for_whom_nobody_knows_any_more() {
    let (shared, clock) = (TestCluster::shared().await, ManualClock::default());
    clock.set(lb_testkit::clock::system().now());
    let (world, namespace) = beside_at(shared, clock.clock(), &[]).await;
    let client = shared.client().await;
    let git = world.git("system");
    let secret = git.create_token(&user("carl"), "laptop").await.unwrap();
    let url = format!("http://{}/v2/channels/al-dev", world.watcher.unwrap());
    let carl = world.http.get(url).basic_auth("customer-carl", Some(secret.reveal())).send().await.unwrap();
    let mut carl = Messages::of(carl);
    assert_eq!(carl.text().await.as_deref(), Some(NOTHING));
    let mut operator = world.messages("al-dev").await;
    world
        .git("operator")
        .remove_collaborator(&user("al"), &"dev".parse().unwrap(), "customer-carl")
        .await
        .unwrap();
    clock.advance(Duration::from_secs(31));
    bare_pod(&client, &namespace, "workspace-al-dev-1").await;
    assert_eq!(carl.text().await, None, "told nothing more");
    let seen = |state: &Value| state["workspace"]["default"]["pods"]["workspace-al-dev-1"].is_object();
    operator.until("others go on", seen).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_nothing_is_lost_and_what_went_meanwhile_is_noticed() {
    let own = TestCluster::start(control_plane::Options::default()).await.unwrap();
    let (world, namespace) = beside(&own, &[]).await;
    let client = own.client().await;
    let mut messages = world.messages("al-dev").await;
    for name in ["one", "two"] {
        bare_pod(&client, &namespace, name).await;
    }
    let names = |state: &Value| {
        let pods = state["workspace"]["default"]["pods"].as_object();
        pods.map(|pods| pods.keys().cloned().collect::<Vec<_>>()).unwrap_or_default()
    };
    messages.until("both", |state| names(state) == ["one", "two"]).await;
    own.stop_api_server().await;
    let mut meanwhile = world.messages("al-dev").await;
    meanwhile.until("what was known", |state| names(state) == ["one", "two"]).await;
    own.start_api_server().await;
    let client = own.client().await;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    pods.delete("one", &DeleteParams::default().grace_period(0)).await.unwrap();
    bare_pod(&client, &namespace, "three").await;
    let seen = messages.until("what went is gone, and what came is there", |state| {
        let names = names(state);
        assert!(
            names.contains(&"two".to_owned()),
            "what was known all the time is told all the time: {names:?}"
        );
        names == ["three", "two"]
    });
    tokio::time::timeout(Duration::from_secs(120), seen).await.unwrap();
}
