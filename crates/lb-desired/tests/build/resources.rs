//! Custom resources on a real API server: what it accepts, what it refuses with which words, how it shows them.

use kube::Client;
use lb_desired::crd;
use lb_testkit::cluster::TestCluster;
use lb_testkit::eventually;
use serde_json::{Value, json};

use crate::api::{api, apply, dry_run};

/// Applies the CRDs and waits until they serve.
pub(crate) async fn install(client: &Client) {
    for definition in crd::all() {
        let manifest = serde_json::to_value(definition).unwrap();
        apply(client, &manifest).await.unwrap_or_else(|error| panic!("{error}"));
    }
    for kind in ["LBProducer", "LBWorkspace", "LBGateway", "LBFunction"] {
        let api = api(client, &json!({ "apiVersion": "lunchbadger.io/v1alpha1", "kind": kind }));
        eventually(kind, || async {
            api.list(&Default::default()).await.map(drop).map_err(|e| e.to_string())
        })
        .await;
    }
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    let mut object = json!({ "apiVersion": "lunchbadger.io/v1alpha1", "kind": kind, "spec": spec });
    object["metadata"] = json!({ "name": name });
    if kind != "LBProducer" {
        object["metadata"]["namespace"] = json!("default");
    }
    object
}

fn with(mut spec: Value, changes: Value) -> Value {
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    spec
}

fn gateway(changes: Value) -> Value {
    let digest = "ab".repeat(32);
    let config = json!({ "name": "gateway-al-dev-main-ababababab", "digest": digest });
    let spec = json!({
        "producer": "al", "environment": "dev", "instance": "main", "id": "g1", "hosts": ["a.b"], "config": config,
    });
    object("LBGateway", "al-dev-main", with(spec, changes))
}

fn function(changes: Value) -> Value {
    let spec = json!({
        "producer": "al", "environment": "dev", "service": "hello", "commit": "1".repeat(40), "path": "hello",
        "digest": "cd".repeat(32), "runtime": "nodejs:8", "handler": "h.f",
    });
    object("LBFunction", "al-dev-hello", with(spec, changes))
}

fn workspace(name: &str, producer: &str, environment: &str) -> Value {
    object("LBWorkspace", name, json!({ "producer": producer, "environment": environment }))
}

fn producer(name: &str, spec: Value) -> Value {
    object("LBProducer", name, spec)
}

fn rows() -> Vec<(Value, Option<&'static str>)> {
    let long = "a".repeat(36);
    vec![
        (producer("al", json!({})), None),
        (
            producer(
                "big-corp",
                json!({ "environments": ["dev", "p1"], "access": "Disabled", "suspend": true }),
            ),
            None,
        ),
        (producer("al", json!({ "limits": { "gateways": 0, "projectFileBytes": 1 } })), None),
        (producer("sls-al", json!({})), Some("does not start with sls-")),
        (producer("admin-al", json!({})), Some("does not start with sls-")),
        (producer("internal-al", json!({})), Some("does not start with sls-")),
        (producer("a--b", json!({})), Some("single dashes")),
        (producer("a.b", json!({})), Some("single dashes")),
        (producer(&long, json!({})), Some("together have at most 38 characters")),
        (producer(&long, json!({ "environments": ["qa"] })), None),
        (producer("al", json!({ "environments": [] })), Some("spec.environments")),
        (producer("al", json!({ "environments": ["dev", "dev"] })), Some("Duplicate value")),
        (producer("al", json!({ "environments": ["De"] })), Some("spec.environments[0]")),
        (producer("al", json!({ "environments": ["1a"] })), Some("spec.environments[0]")),
        (producer("al", json!({ "environments": ["abcdefghijk"] })), Some("Too long")),
        (producer("al", json!({ "access": "Maybe" })), Some("Unsupported value")),
        (producer("al", json!({ "limits": { "gateways": -1 } })), Some("spec.limits.gateways")),
        (workspace("al-dev", "al", "dev"), None),
        (workspace("bob-dev", "al", "dev"), Some("a workspace is named")),
        (workspace("al-d-v", "al", "d-v"), Some("spec.environment")),
        (workspace(&format!("{long}-dev"), &long, "dev"), Some("together have at most 38 characters")),
        (gateway(json!({})), None),
        (gateway(json!({ "hosts": ["*.a.b", "x.example.org"], "replicas": 0 })), None),
        (gateway(json!({ "hosts": [] })), Some("spec.hosts")),
        (gateway(json!({ "hosts": ["a.*.b"] })), Some("spec.hosts[0]")),
        (gateway(json!({ "hosts": ["A.b"] })), Some("spec.hosts[0]")),
        (gateway(json!({ "replicas": -1 })), Some("spec.replicas")),
        (gateway(json!({ "instance": "other" })), Some("a gateway is named")),
        (gateway(json!({ "id": "-" })), Some("spec.id")),
        (
            gateway(json!({ "config": { "name": "credentials-bob-dev", "digest": "ab".repeat(32) } })),
            Some("config.name is"),
        ),
        (
            gateway(json!({ "config": { "name": "gateway-al-dev-main-ababababab", "digest": "x" } })),
            Some("digest"),
        ),
        (function(json!({})), None),
        (
            function(
                json!({ "triggers": [{ "http": "/a" }, { "schedule": "* * * * *" }, { "topic": "t" }] }),
            ),
            None,
        ),
        (function(json!({ "triggers": [{}] })), Some("exactly one of http, schedule and topic")),
        (function(json!({ "triggers": [{ "http": "/a", "topic": "t" }] })), Some("exactly one of")),
        (function(json!({ "runtime": "nodejs" })), Some("spec.runtime")),
        (function(json!({ "commit": "1" })), Some("spec.commit")),
        (function(json!({ "service": "other" })), Some("a function is named")),
    ]
}

#[tokio::test]
async fn the_api_server_refuses_what_we_would_never_write() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    install(&client).await;
    for (object, refused) in rows() {
        match (dry_run(&client, &object).await, refused) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{object}: {error}"),
            (answer, words) => panic!("{object}: {words:?}, {answer:?}"),
        }
    }
}

#[tokio::test]
async fn names_never_change_and_the_rest_may() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    install(&client).await;
    let namespace = cluster.namespace("resources").await;
    let within = |mut object: Value| {
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    let standing =
        [within(workspace("al-dev", "al", "dev")), within(gateway(json!({}))), within(function(json!({})))];
    for object in &standing {
        apply(&client, object).await.unwrap();
        for (field, value) in
            [("producer", "bob"), ("environment", "test"), ("instance", "x"), ("service", "x")]
        {
            if object["spec"][field].is_null() {
                continue;
            }
            let mut changed = object.clone();
            changed["spec"][field] = json!(value);
            let error = apply(&client, &changed).await.unwrap_err().to_string();
            assert!(error.contains(&format!("the {field} never changes")), "{error}");
        }
    }
    apply(&client, &within(gateway(json!({ "hosts": ["c.d"], "replicas": 2, "id": "g2" })))).await.unwrap();
    apply(&client, &within(function(json!({ "commit": "2".repeat(40), "digest": "ef".repeat(32) }))))
        .await
        .unwrap();
}

#[tokio::test]
async fn kubectl_explains_and_shows_them() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    install(&client).await;
    let run = async |arguments: &[&str]| {
        let output = cluster.kubectl(arguments).await;
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    for (resource, words) in [
        ("lbproducers", "A producer of APIs"),
        ("lbproducers.spec.environments", "each at most 10 characters"),
        ("lbproducers.spec.limits.projectFileBytes", "in bytes. Default: 4194304"),
        ("lbproducers.status.environments", "The state of each environment"),
        ("lbworkspaces.spec.revision", "ENABLE_ROLLING_UPDATE"),
        ("lbgateways.spec.config.digest", "64 hex digits"),
        ("lbgateways.spec.replicas", "Number of pods. Default: 1"),
        ("lbfunctions.spec.triggers.schedule", "five fields, UTC"),
    ] {
        let text = run(&["explain", resource]).await;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{resource}: {text}");
    }
    let namespace = cluster.namespace("columns").await;
    let mut object = gateway(json!({}));
    object["metadata"]["namespace"] = json!(namespace);
    apply(&client, &object).await.unwrap();
    let table = run(&["get", "lbg", "-n", &namespace]).await;
    assert!(table.contains("HOST") && table.contains("APPLIED") && table.contains("a.b"), "{table}");
    let category = run(&["get", "lunchbadger", "-n", &namespace]).await;
    assert!(category.contains("lbgateway.lunchbadger.io/al-dev-main"), "{category}");
}
