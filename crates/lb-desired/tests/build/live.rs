//! What a real API server says of what we build: its strict validation, Pod Security, its defaults, and what it makes
//! of our objects when somebody meddles with them.

use crate::api::{api, apply, change, dry_run, meddle, name};
use crate::cases::{Case, cases};
use kube::Client;
use kube::api::{Patch, PatchParams};
use lb_desired::build::projection::{autoscaled, foreign_extras, matches, overwrites, without_replicas};
use lb_testkit::cluster::TestCluster;
use lb_testkit::eventually;
use serde_json::{Value, json};

const RESTRICTED: &[(&str, &str)] = &[("pod-security.kubernetes.io/enforce", "restricted")];

/// The leaves of a case in a namespace of their own.
async fn leaves(cluster: &TestCluster, case: &Case) -> Vec<Value> {
    let namespace = cluster.namespace_with("build", RESTRICTED).await;
    let settings = case.settings(&[("ACTUALIZER_TARGET_NAMESPACE", &namespace)]);
    case.leaves(&settings).into_iter().map(|leaf| leaf.manifest.value()).collect()
}

/// Strict validation accepts every object; Pod Security `restricted` every pod; what stands afterwards is what we
/// set, by our own comparison, and applying it again changes nothing.
#[tokio::test]
async fn the_api_server_accepts_every_object_as_it_is() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    for (case_name, case) in cases() {
        for manifest in leaves(cluster, &case).await {
            let what = format!("{case_name}: {} {}", manifest["kind"], name(&manifest));
            let first = apply(&client, &manifest).await.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!(matches(&manifest, &first), "{what}: {first:#}");
            assert_eq!(foreign_extras(&manifest, &first), Vec::<String>::new(), "{what}");
            let again = apply(&client, &manifest).await.unwrap();
            if manifest["kind"] != "Deployment" {
                assert_eq!(
                    first["metadata"]["resourceVersion"], again["metadata"]["resourceVersion"],
                    "{what}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_pod_passes_pod_security_restricted() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    let mut pods = 0;
    for (case_name, case) in cases() {
        for manifest in leaves(cluster, &case).await {
            let namespace = &manifest["metadata"]["namespace"];
            if manifest["kind"] == "ServiceAccount" {
                apply(&client, &manifest).await.unwrap();
            }
            let Some(template) = manifest.pointer("/spec/template") else { continue };
            let mut pod = json!({ "apiVersion": "v1", "kind": "Pod" });
            pod["metadata"] =
                json!({ "name": "p", "namespace": namespace, "labels": template["metadata"]["labels"] });
            pod["spec"] = template["spec"].clone();
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": { "name": pod["spec"]["serviceAccountName"], "namespace": namespace },
            });
            apply(&client, &account).await.unwrap();
            let made = dry_run(&client, &pod).await.unwrap_or_else(|error| panic!("{case_name}: {error}"));
            let tokens = made.pointer("/spec/volumes").unwrap().to_string().contains("kube-api-access");
            assert!(!tokens, "{case_name}: the API server's own token is mounted");
            pods += 1;

            pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
            let refused = dry_run(&client, &pod).await.unwrap_err().to_string();
            assert!(refused.contains("violates PodSecurity"), "{refused}");
        }
    }
    assert!(pods >= 10, "{pods}");
}

/// One way of meddling with one object.
struct Row {
    what: &'static str,
    case: &'static str,
    kind: &'static str,
    patch: Value,
    /// Whether it is drift, which applying and the patch of extras put back.
    drift: bool,
}

fn row(what: &'static str, case: &'static str, kind: &'static str, drift: bool, patch: Value) -> Row {
    Row { what, case, kind, patch, drift }
}

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn rows() -> Vec<Row> {
    let container = |patch: Value| {
        let mut container = json!({ "name": "gateway" });
        container.as_object_mut().unwrap().extend(patch.as_object().unwrap().clone());
        json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
    };
    let gateway = "gateway-everything";
    vec![
        row(
            "label removed",
            gateway,
            "Service",
            true,
            json!({ "metadata": { "labels": { "producer": null } } }),
        ),
        row(
            "label changed",
            gateway,
            "Ingress",
            true,
            json!({ "metadata": { "labels": { "id": "other" } } }),
        ),
        row(
            "our annotation changed",
            gateway,
            "Service",
            true,
            json!({ "metadata": { "annotations": { "prometheus.io/port": "1" } } }),
        ),
        row(
            "foreign annotation",
            gateway,
            "Service",
            false,
            json!({ "metadata": { "annotations": { "a": "b" } } }),
        ),
        row("foreign label", gateway, "Deployment", false, json!({ "metadata": { "labels": { "a": "b" } } })),
        row(
            "extra service port",
            gateway,
            "Service",
            true,
            json!({ "spec": { "ports": [{ "name": "x", "port": 22, "targetPort": 22 }] } }),
        ),
        row(
            "service port changed",
            gateway,
            "Service",
            true,
            json!([{ "op": "replace", "path": "/spec/ports/0/targetPort", "value": 9876 }]),
        ),
        row(
            "service port moved",
            "workspace-defaults",
            "Service",
            true,
            json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": 8080 }]),
        ),
        row(
            "service selector widened",
            gateway,
            "Service",
            true,
            json!([{ "op": "remove", "path": "/spec/selector/instance" }]),
        ),
        row(
            "service selector narrowed",
            gateway,
            "Service",
            true,
            json!({ "spec": { "selector": { "a": "b" } } }),
        ),
        row("service published", gateway, "Service", true, json!({ "spec": { "type": "NodePort" } })),
        row(
            "extra ingress host",
            gateway,
            "Ingress",
            true,
            json!([{ "op": "add", "path": "/spec/rules/-", "value": { "host": "evil.example" } }]),
        ),
        row(
            "extra ingress path",
            gateway,
            "Ingress",
            true,
            json!([{ "op": "add", "path": "/spec/rules/0/http/paths/-", "value": {
                "path": "/admin", "pathType": "Prefix",
                "backend": { "service": { "name": "x", "port": { "number": 9876 } } } } }]),
        ),
        row(
            "ingress tls removed",
            gateway,
            "Ingress",
            true,
            json!([{ "op": "remove", "path": "/spec/tls" }]),
        ),
        row(
            "foreign tls where we set none",
            "gateway-defaults",
            "Ingress",
            false,
            json!({ "spec": { "tls": [{ "hosts": ["a.b"], "secretName": "x" }] } }),
        ),
        row(
            "policy rule added",
            gateway,
            "NetworkPolicy",
            true,
            json!([{ "op": "add", "path": "/spec/ingress/-", "value": {} }]),
        ),
        row(
            "policy rule added where nobody is let in",
            "gateway-closed-network",
            "NetworkPolicy",
            true,
            json!({ "spec": { "ingress": [{}] } }),
        ),
        row(
            "policy port widened",
            gateway,
            "NetworkPolicy",
            true,
            json!([{ "op": "add", "path": "/spec/ingress/0/ports/0/endPort", "value": 65535 }]),
        ),
        row(
            "policy selects fewer pods",
            gateway,
            "NetworkPolicy",
            true,
            json!({ "spec": { "podSelector": { "matchLabels": { "a": "b" } } } }),
        ),
        row(
            "policy type removed",
            gateway,
            "NetworkPolicy",
            true,
            json!({ "spec": { "policyTypes": ["Ingress"] } }),
        ),
        row("scaled by hand", gateway, "Deployment", true, json!({ "spec": { "replicas": 7 } })),
        row("image changed", gateway, "Deployment", true, container(json!({ "image": "evil:1" }))),
        row(
            "variable added",
            gateway,
            "Deployment",
            true,
            container(json!({ "env": [{ "name": "NODE_OPTIONS", "value": "--require x" }] })),
        ),
        row(
            "variable changed",
            gateway,
            "Deployment",
            true,
            container(json!({ "env": [{ "name": "LOG_LEVEL", "value": "error" }] })),
        ),
        row(
            "secret reference turned into a value",
            gateway,
            "Deployment",
            true,
            container(json!({ "env": [{ "name": "REDIS_PASSWORD", "value": "x", "valueFrom": null }] })),
        ),
        row(
            "container port added",
            gateway,
            "Deployment",
            true,
            container(json!({ "ports": [{ "containerPort": 22 }] })),
        ),
        row(
            "capability added",
            gateway,
            "Deployment",
            true,
            container(json!({ "securityContext": { "capabilities": { "add": ["NET_BIND_SERVICE"] } } })),
        ),
        row(
            "root file system writable",
            gateway,
            "Deployment",
            true,
            container(json!({ "securityContext": { "readOnlyRootFilesystem": false } })),
        ),
        row(
            "limit changed",
            gateway,
            "Deployment",
            true,
            container(json!({ "resources": { "limits": { "memory": "1Gi" } } })),
        ),
        row(
            "same limit in other words",
            gateway,
            "Deployment",
            false,
            container(json!({ "resources": { "limits": { "cpu": "1.1" } } })),
        ),
        row(
            "token mounted",
            gateway,
            "Deployment",
            true,
            json!({ "spec": { "template": { "spec": { "automountServiceAccountToken": true } } } }),
        ),
        row(
            "container injected",
            gateway,
            "Deployment",
            false,
            json!({ "spec": { "template": { "spec": {
                "containers": [{ "name": "proxy", "image": "mesh:1" }],
                "volumes": [{ "name": "mesh", "emptyDir": {} }] } } } }),
        ),
        row(
            "mount injected",
            gateway,
            "Deployment",
            false,
            json!({ "spec": { "template": { "spec": {
                "containers": [{ "name": "gateway", "volumeMounts": [{ "name": "tmp", "mountPath": "/mesh" }] }] } } } }),
        ),
        row(
            "restarted by kubectl",
            gateway,
            "Deployment",
            false,
            json!({ "spec": { "template": { "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "x" } } } } }),
        ),
        row("secret data edited", "credentials", "Secret", true, json!({ "data": { "cipher-key": "eA==" } })),
        row("secret data added", "credentials", "Secret", true, json!({ "data": { "more": "eA==" } })),
        row(
            "token of an account mounted by default",
            gateway,
            "ServiceAccount",
            true,
            json!({ "automountServiceAccountToken": null }),
        ),
        row(
            "secret added to an account",
            gateway,
            "ServiceAccount",
            false,
            json!({ "secrets": [{ "name": "s" }] }),
        ),
    ]
}

/// Every rule of `build::projection`, with what the API server makes of each change, and the way back: an apply, and
/// a JSON patch for what another manager owns.
#[tokio::test]
async fn drift_is_seen_and_put_back() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    let cases = cases();
    for Row { what, case, kind, patch, drift } in rows() {
        let manifests = leaves(cluster, &cases[case]).await;
        let desired = manifests.iter().find(|manifest| manifest["kind"] == kind).unwrap();
        apply(&client, desired).await.unwrap();
        let live = meddle(&client, desired, &patch).await;
        assert_eq!(matches(desired, &live), !drift, "{what}: {live:#}");
        let repaired = repair(&client, desired, &live).await;
        assert!(matches(desired, &repaired), "{what}, put back: {repaired:#}");
        if !drift {
            assert_eq!(foreign_extras(desired, &live), Vec::<String>::new(), "{what}");
        }
    }
}

/// As the actualizer puts drift back: apply, over what stands in the way where the API server refuses, and remove
/// what is foreign; once more where a controller wrote its status in between.
async fn repair(client: &Client, desired: &Value, drifted: &Value) -> Value {
    let attempt = async || {
        let live = match apply(client, desired).await {
            Ok(live) => live,
            Err(_) => {
                change(client, desired, &Value::Array(overwrites(desired, drifted))).await?;
                apply(client, desired).await?
            }
        };
        let extras = foreign_extras(desired, &live);
        if extras.is_empty() {
            return Ok(live);
        }
        let version = &live["metadata"]["resourceVersion"];
        let test = json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version });
        let removals = extras.iter().map(|path| json!({ "op": "remove", "path": path }));
        change(client, desired, &[test].into_iter().chain(removals).collect()).await
    };
    eventually("put back", || async { attempt().await.map_err(|error: kube::Error| error.to_string()) }).await
}

/// `replicas` belong to an autoscaler where one wrote them through `scale`, and to us where a person did.
#[tokio::test]
async fn an_autoscaler_is_left_alone() {
    let cluster = TestCluster::shared().await;
    let client = cluster.client().await;
    let manifests = leaves(cluster, &cases()["gateway-defaults"]).await;
    let desired = manifests.iter().find(|manifest| manifest["kind"] == "Deployment").unwrap();
    apply(&client, desired).await.unwrap();
    for (manager, tolerated) in [("kubectl", false), ("kube-controller-manager", true)] {
        let parameters = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let scale = Patch::Merge(json!({ "spec": { "replicas": if tolerated { 5 } else { 4 } } }));
        api(&client, desired).patch_scale(name(desired), &parameters, &scale).await.unwrap();
        let live = api(&client, desired).get(name(desired)).await.unwrap();
        let live = serde_json::to_value(live).unwrap();
        assert_eq!((autoscaled(&live), matches(desired, &live)), (tolerated, tolerated), "{manager}");
    }
    let kept = apply(&client, &without_replicas(desired)).await.unwrap();
    assert_eq!(kept["spec"]["replicas"], 5);
    assert!(autoscaled(&kept));
}
