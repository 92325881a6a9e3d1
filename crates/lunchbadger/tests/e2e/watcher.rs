//! The watcher beside a real Actualizer: what a producer's push makes of the cluster is seen by whoever may see it. No node is
//! there, so that the tests say how pods are.

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use lb_http::contract::SseDecoder;
use lb_testkit::pods::AccountPod;
use lb_testkit::process::Supervised;
use lb_testkit::project::Gateway;
use lb_testkit::{eventually, free_port};
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use crate::project::push;
use crate::world::{NAMESPACE, Producer, World};

/// How long a message may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// A client of a watcher's stream, by a token of the git host.
struct Client {
    response: reqwest::Response,
    decoder: SseDecoder,
    last: Value,
}

impl Client {
    async fn connect(watcher: &str, name: &str, token: &str) -> Self {
        let request = reqwest::Client::new().get(format!("{watcher}/v2/channels/{name}-dev"));
        let request = request.basic_auth(format!("customer-{name}"), Some(token));
        let response = request.send().await.expect("reach the watcher");
        assert_eq!(response.status(), 200);
        Self { response, decoder: SseDecoder::new("the watcher", 1 << 20), last: Value::Null }
    }

    /// Reads until the state of the environment is as it should be.
    async fn until(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let mut told = Vec::new();
        loop {
            for message in told.drain(..) {
                self.last = message;
                if good(&self.last) {
                    return self.last.clone();
                }
            }
            let piece = timeout(SOON, self.response.chunk()).await;
            let piece = piece.unwrap_or_else(|_| panic!("{what}; last: {:#}", self.last));
            let piece = piece.expect("a stream that does not break").expect("a stream that goes on");
            let events = self.decoder.push(&piece).expect("events");
            told.extend(events.iter().map(|event| {
                assert_eq!(event.event, "", "messages are of the default type");
                serde_json::from_str::<Value>(&event.data).expect("a message is JSON")
            }));
        }
    }
}

/// The gateway's entry in a message.
fn gateway(state: &Value) -> Value {
    state["gateway"]["g1"].clone()
}

fn pods(gateway: &Value) -> Vec<String> {
    gateway["pods"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

/// Starts a watcher with the rights of its own account, and waits until it has read the cluster.
async fn start(world: &World, watcher: &str) -> Supervised {
    let process = world.launch_watcher(watcher);
    eventually("the watcher is ready", || async {
        let answer = reqwest::get(format!("{watcher}/ready")).await.map_err(|error| error.to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(process.log_tail()) }
    })
    .await;
    process
}

/// What the controller of EndpointSlices, for which it takes nodes, makes of a Service: its labels, and the pods.
async fn serve(world: &World, service: &str, pod: &str) {
    let client = world.cluster.client().await;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let labels = services.get(service).await.expect("the Service stands").metadata.labels;
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": service, "labels": labels}, "addressType": "IPv4",
        "endpoints": [{
            "addresses": ["10.244.0.7"], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE},
        }],
    });
    let slices: Api<EndpointSlice> = Api::namespaced(client, NAMESPACE);
    let made = slices.patch(service, &PatchParams::apply("test").force(), &Patch::Apply(slice)).await;
    made.expect("make an EndpointSlice");
}

/// What kubelet says of a pod whose container ends with an error whenever it is started.
async fn crash(world: &World, pod: &str) {
    let pods: Api<Pod> = Api::namespaced(world.cluster.client().await, NAMESPACE);
    let container = pods.get(pod).await.expect("the pod is there").spec.expect("a spec").containers.remove(0);
    let status = json!({"status": {"phase": "Running", "containerStatuses": [{
        "name": container.name, "ready": false, "image": container.image, "imageID": "", "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    }]}});
    let said = pods.patch_status(pod, &PatchParams::default(), &Patch::Strategic(status)).await;
    said.expect("say how the pod is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_seen_to_come_change_and_crash_and_who_reconnects_sees_the_same() {
    let world = crate::shared().await;
    let producer: Producer = world.producer("wa").await;
    let (name, token) = (producer.name.clone(), world.token_of(&producer.name).await);
    let watcher = format!("http://127.0.0.1:{}", free_port());
    let process = start(&world, &watcher).await;
    let mut client = Client::connect(&watcher, &name, &token).await;
    client.until("the state is told at once", |state| state["gateway"] == json!({})).await;

    push(&producer, &[Gateway::new("g1", "main", &["/a"])]).await;
    let state = client
        .until("workspace, sls-api and gateway have come", |state| {
            let parts = [&state["workspace"]["default"], &state["sls-api"]["default"], &gateway(state)];
            parts.iter().all(|part| pods(part).len() == 1 && part["status"]["running"] == false)
        })
        .await;
    let first = pods(&gateway(&state)).remove(0);
    let selector = format!("producer={name},app=gateway");
    world.cluster.make_pods_ready(NAMESPACE, &selector).await.expect("say that it is ready");
    serve(&world, &format!("gateway-{name}-dev-main"), &first).await;
    let state = client
        .until("it serves", |state| {
            let now = gateway(state);
            now["status"]["running"] == true && now["status"]["deployment"]["inProgress"] == false
        })
        .await;
    let told = &gateway(&state)["pods"][&first];
    assert_eq!(
        (&told["ready"], &told["servesRequests"], &told["failed"]),
        (&json!(true), &json!(true), &json!(false))
    );

    push(&producer, &[Gateway::new("g1", "main", &["/a", "/b"])]).await;
    let state = client
        .until("the new configuration rolls out beside the old pod", |state| {
            let now = gateway(state);
            pods(&now).len() == 2 && now["status"]["deployment"]["inProgress"] == true
        })
        .await;
    assert_eq!(gateway(&state)["status"]["running"], true, "the old one serves meanwhile");
    let second = pods(&gateway(&state)).into_iter().find(|pod| *pod != first).expect("another pod");
    crash(&world, &second).await;
    let crashed = |state: &Value| {
        let now = gateway(state);
        now["pods"][&second]["failed"] == true && now["status"]["deployment"]["latestFailed"] == true
    };
    let state = client.until("the new one crashes", crashed).await;
    assert_eq!(gateway(&state)["status"]["running"], true, "the old one still serves");

    let mut other = Client::connect(&watcher, &name, &token).await;
    assert_eq!(other.until("who reconnects gets the state at once", |_| true).await, state);
    drop(process);
    let process = start(&world, &watcher).await;
    let mut again = Client::connect(&watcher, &name, &token).await;
    assert_eq!(again.until("and so from a new watcher", |_| true).await, state);

    let pods: Api<Pod> = Api::namespaced(world.cluster.client().await, NAMESPACE);
    push(&producer, &[]).await;
    world.applied(&producer).await;
    // Nobody ends the containers: no node is there.
    eventually("the pods are gone", || async {
        let list =
            pods.list(&ListParams::default().labels(&selector)).await.map_err(|error| error.to_string())?;
        for pod in &list {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let _ = pods.delete(name, &kube::api::DeleteParams::default().grace_period(0)).await;
        }
        if list.items.is_empty() { Ok(()) } else { Err(format!("{} are left", list.items.len())) }
    })
    .await;
    again
        .until("the gateway is gone, the workspace stays", |state| {
            state["gateway"] == json!({}) && state["workspace"]["default"].is_object()
        })
        .await;
    let complaints = process.log_tail();
    assert!(!complaints.contains("forbidden"), "its account may do what it does: {complaints}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_read_a_producer_sees_its_pods() {
    let world = crate::shared().await;
    let names = ["wo", "wp"].map(lb_testkit::unique);
    world.create_all(&names).await;
    let [own, other] = &names;
    let (token, foreign) = (world.token_of(own).await, world.token_of(other).await);
    let url = format!("{}/v2/channels/{own}-dev", world.watcher);
    let http = reqwest::Client::new();
    let login = |name: &str| format!("customer-{name}");
    for (who, request, expected) in [
        ("nobody", http.get(&url), 401),
        ("a wrong token", http.get(&url).basic_auth(login(own), Some("x".repeat(40))), 401),
        ("another's token under this name", http.get(&url).basic_auth(login(own), Some(&foreign)), 401),
        ("another producer", http.get(&url).basic_auth(login(other), Some(&foreign)), 403),
        ("itself", http.get(&url).basic_auth(login(own), Some(&token)), 200),
        (
            "itself, as older clients ask",
            http.get(url.replace("/v2", "")).basic_auth(login(own), Some(&token)),
            200,
        ),
    ] {
        let answer = request.send().await.expect("reach the watcher");
        assert_eq!(answer.status(), expected, "{who}: {}", world.log().await);
    }
    push_gateway(&world, own).await;
    for (app, of, expected) in
        [("workspace", own, 200), ("sls-api", own, 200), ("gateway", own, 403), ("workspace", other, 403)]
    {
        let pods: Api<Pod> = Api::namespaced(world.cluster.client().await, NAMESPACE);
        let selector = ListParams::default().labels(&format!("producer={of},app={app}"));
        let pod = eventually(&format!("{of} has a pod of {app}"), || async {
            let listed = pods.list(&selector).await.map_err(|error| error.to_string())?;
            listed.items.into_iter().next().ok_or("none".to_owned())
        })
        .await;
        let token = AccountPod::of(&world.cluster, NAMESPACE, &pod).await.token("watcher").await;
        let answer = http.get(&url).bearer_auth(token.reveal()).send().await.expect("reach the watcher");
        assert_eq!(answer.status(), expected, "{app} of {of}: {}", world.log().await);
    }
}

/// Pushes a project with one gateway to a producer that has none yet.
async fn push_gateway(world: &World, name: &str) {
    let git =
        lb_testkit::git::Git::new().with_token(&format!("customer-{name}"), &world.token_of(name).await);
    let dev = git.init(&format!("{}/customer-{name}/dev.git", world.git_api)).await;
    dev.write("lunchbadger.json", crate::project::file(name, &[Gateway::new("g1", "main", &["/a"])], false));
    dev.commit_and_push("Begin").await;
}
