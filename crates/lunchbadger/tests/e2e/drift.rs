//! Drift is put back within 2 s, one row each.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use lb_desired::crd::FIELD_MANAGER;
use lb_testkit::{eventually, eventually_within};
use serde_json::{Value, json};

use crate::project::standing;
use crate::world::{DRIFT, World, names};

/// Something that somebody does to an object, as another field manager.
enum Damage {
    Delete,
    Merge(Value),
    Json(Value),
}

async fn damage(world: &World, kind: &str, name: &str, damage: &Damage) {
    let api = world.api(kind).await;
    let mallory = PatchParams { field_manager: Some("mallory".into()), ..PatchParams::default() };
    let done = match damage {
        Damage::Delete => api.delete(name, &DeleteParams::background()).await.map(drop),
        Damage::Merge(patch) => api.patch(name, &mallory, &Patch::Merge(patch)).await.map(drop),
        Damage::Json(patch) => {
            let patch = serde_json::from_value(patch.clone()).expect("a JSON patch");
            api.patch(name, &mallory, &Patch::<()>::Json(patch)).await.map(drop)
        }
    };
    done.unwrap_or_else(|error| panic!("damage {kind} {name}: {error}"));
}

/// What must come back: everything but what the server keeps for itself.
fn essence(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    for own in ["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"] {
        metadata.remove(own);
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    for volatile in ["status", "secrets"] {
        object.as_object_mut().expect("an object").remove(volatile);
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        for given in ["clusterIP", "clusterIPs"] {
            spec.remove(given);
        }
    }
    object
}

async fn put_back(world: &World, kind: &str, name: &str, what: &Damage, within: Duration) {
    let before = essence(world.object(kind, name).await.unwrap_or_else(|| panic!("{kind} {name} stands")));
    damage(world, kind, name, what).await;
    eventually_within(&format!("{kind} {name} is put back"), within, || async {
        let object = world.object(kind, name).await.ok_or("it is gone")?;
        if object["metadata"]["deletionTimestamp"].is_string() {
            return Err("it is being deleted".to_owned());
        }
        let now = essence(object);
        if now == before { Ok(()) } else { Err(format!("{now:#}\nshould be\n{before:#}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_changes_is_put_back() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let gateway = format!("gateway-{}-dev-main", producer.name);
    let child = format!("{}-dev-main", producer.name);
    let config =
        world.object("LBGateway", &child).await.expect("a gateway")["spec"]["config"]["name"].clone();
    let config = config.as_str().expect("a configuration").to_owned();
    let rows: Vec<(&str, &str, Damage)> = vec![
        ("Deployment", &gateway, Damage::Delete),
        ("Service", &gateway, Damage::Delete),
        ("Ingress", &gateway, Damage::Delete),
        ("NetworkPolicy", &gateway, Damage::Delete),
        ("ServiceAccount", &gateway, Damage::Delete),
        ("Secret", &config, Damage::Delete),
        ("Service", &gateway, Damage::Merge(json!({"metadata": {"labels": {"producer": null}}}))),
        ("Deployment", &gateway, Damage::Merge(json!({"metadata": {"labels": {"app": "other"}}}))),
        ("Secret", &config, Damage::Merge(json!({"metadata": {"labels": {"producer": null}}}))),
        ("Service", &gateway, Damage::Merge(json!({"metadata": {"ownerReferences": []}}))),
        ("Deployment", &gateway, Damage::Merge(json!({"metadata": {"ownerReferences": []}}))),
        (
            "Service",
            &gateway,
            Damage::Json(
                json!([{"op": "add", "path": "/spec/ports/-", "value": {"name": "extra", "port": 9999}}]),
            ),
        ),
        (
            "Ingress",
            &gateway,
            Damage::Json(
                json!([{"op": "add", "path": "/spec/rules/-", "value": {"host": "evil.example.com"}}]),
            ),
        ),
        ("Deployment", &gateway, Damage::Merge(json!({"spec": {"replicas": 3}}))),
        (
            "Deployment",
            &gateway,
            Damage::Json(
                json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "evil"}]),
            ),
        ),
        (
            "NetworkPolicy",
            &gateway,
            Damage::Json(json!([{"op": "add", "path": "/spec/egress/-", "value": {}}])),
        ),
    ];
    for (kind, name, what) in &rows {
        put_back(&world, kind, name, what, DRIFT).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_child_comes_back_with_all_its_objects() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let before = world.versions(&producer.name).await;
    damage(&world, "LBGateway", &format!("{}-dev-main", producer.name), &Damage::Delete).await;
    // The garbage collector takes what the old one had; every object has to be made again.
    eventually("everything stands again, and is new", || async {
        let now = world.versions(&producer.name).await;
        let main = |key: &String| key.contains("-dev-main");
        let renewed = before
            .iter()
            .filter(|(key, _)| main(key))
            .all(|(key, (uid, _))| now.get(key).is_some_and(|(new, _)| new != uid));
        if renewed && names(&now) == names(&before) { Ok(()) } else { Err(format!("{now:#?}")) }
    })
    .await;
    world.applied(&producer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_of_a_gateway_cannot_be_edited() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let child = format!("{}-dev-main", producer.name);
    let config =
        world.object("LBGateway", &child).await.expect("a gateway")["spec"]["config"]["name"].clone();
    let config = config.as_str().expect("a configuration");
    let patch = json!({"data": {"gateway.config.yml": "ZXZpbA=="}});
    let refused =
        world.api("Secret").await.patch(config, &PatchParams::default(), &Patch::Merge(&patch)).await;
    assert!(refused.unwrap_err().to_string().contains("immutable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_annotations_stay() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let name = format!("gateway-{}-dev-main", producer.name);
    let note = Damage::Merge(
        json!({"metadata": {"annotations": {"example.com/note": "kept"}, "labels": {"team": "x"}}}),
    );
    damage(&world, "Service", &name, &note).await;
    let scaled = Damage::Merge(json!({"spec": {"ports": [{"name": "gateway", "port": 1}]}}));
    damage(&world, "Service", &name, &scaled).await;
    eventually_within("the port is back, and what is foreign stayed", DRIFT, || async {
        let service = world.object("Service", &name).await.ok_or("no Service")?;
        let kept = service["metadata"]["annotations"]["example.com/note"] == "kept"
            && service["metadata"]["labels"]["team"] == "x";
        let back = service["spec"]["ports"]
            .as_array()
            .is_some_and(|ports| ports.iter().any(|port| port["port"] == 8080));
        if kept && back { Ok(()) } else { Err(format!("{service:#}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_controller_made_with_our_labels_stays() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let gateway = format!("gateway-{}-dev-main", producer.name);
    // Copies with our labels under an owner of their own, as tools for gradual roll-outs make them.
    let canary = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("canary-{}", producer.name)}});
    let canary = world.create("ConfigMap", &canary).await;
    let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": canary["metadata"]["name"],
        "uid": canary["metadata"]["uid"], "controller": true});
    let copy = async |kind: &str, version: &str, fields: &[&str]| {
        let ours = world.object(kind, &gateway).await.expect("ours stands");
        let mut copy = json!({"apiVersion": version, "kind": kind, "spec": {}, "metadata": {
            "name": format!("{gateway}-primary"), "labels": ours["metadata"]["labels"], "ownerReferences": [owner]}});
        for field in fields {
            copy["spec"][field] = ours["spec"][field].clone();
        }
        world.create(kind, &copy).await
    };
    let copies = [
        ("Service", copy("Service", "v1", &["ports", "selector"]).await),
        ("Deployment", copy("Deployment", "apps/v1", &["selector", "template"]).await),
    ];
    // What was told before is worked on before.
    put_back(&world, "Service", &gateway, &Damage::Delete, DRIFT).await;
    for (kind, copy) in copies {
        let standing = world.object(kind, &format!("{gateway}-primary")).await.expect("it stands");
        assert_eq!(standing["metadata"]["uid"], copy["metadata"]["uid"]);
        assert!(standing["metadata"]["deletionTimestamp"].is_null(), "{standing:#}");
    }
}

/// What the gateway does not want (any more) and cannot be removed leaves it unapplied, with who refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_is_refused_is_told_and_tried_again() {
    let world = crate::shared().await;
    let producer = standing(&world, "dr").await;
    let (child, gateway) =
        (format!("{}-dev-main", producer.name), format!("gateway-{}-dev-main", producer.name));
    let left = format!("{gateway}-left");
    let policy = format!("keep-{}", producer.name);
    let rule = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": policy}, "spec": {
        "matchConstraints": {"resourceRules": [{
            "apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["services"]}]},
        "validations": [{"expression": format!("!request.name.startsWith('{left}')"), "message": "not today"}]}});
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": policy}, "spec": {"policyName": policy, "validationActions": ["Deny"]}});
    let file = world.data.path().join(&policy);
    std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": [rule, binding]}).to_string())
        .expect("write a policy");
    let file = file.to_str().expect("a path");
    assert!(world.cluster.kubectl(&["apply", "-f", file]).await.status.success());
    let owner = world.object("LBGateway", &child).await.expect("a gateway")["metadata"]["uid"].clone();
    let ours = world.object("Service", &gateway).await.expect("it stands");
    let extra = json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1}]}, "metadata": {
        "name": left, "labels": ours["metadata"]["labels"], "ownerReferences": [{
            "apiVersion": "lunchbadger.io/v1alpha1", "kind": "LBGateway", "name": child, "uid": owner,
            "controller": true}]}});
    refused(&world, &format!("{left}-probe")).await;
    let services = world.api("Service").await;
    services
        .patch(&left, &PatchParams::apply(FIELD_MANAGER), &Patch::Apply(extra))
        .await
        .expect("leave one behind");
    let applied = async |wanted: &str, words: &str| {
        eventually(&format!("Applied={wanted}"), || async {
            let status = world.object("LBGateway", &child).await.ok_or("no gateway")?["status"].clone();
            let conditions = status["conditions"].as_array().into_iter().flatten();
            let applied = conditions.clone().find(|it| it["type"] == "Applied").ok_or("no condition")?;
            let told = applied["message"].as_str().is_some_and(|message| message.contains(words));
            if applied["status"] == wanted && told { Ok(()) } else { Err(format!("{status:#}")) }
        })
        .await;
    };
    applied("False", "not today").await;
    assert!(world.cluster.kubectl(&["delete", "-f", file]).await.status.success());
    applied("True", "").await;
    world.applied(&producer).await;
}

/// Waits until the API server refuses to delete a Service of this name, which takes it a moment to learn.
async fn refused(world: &World, name: &str) {
    let probe = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 1}]}});
    world.create("Service", &probe).await;
    let services = world.api("Service").await;
    let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
    eventually("its deletion is refused", || async {
        match services.delete(name, &dry).await {
            Ok(_) => Err("it is not"),
            Err(_) => Ok(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn among_a_hundred_producers_drift_is_put_back_within_five_seconds() {
    let world = World::start(&[]).await;
    let names: Vec<String> = (1..100).map(|n| format!("h{n:03}")).collect();
    world.create_all(&names).await;
    let producer = standing(&world, "dr").await;
    let name = format!("{}-dev", producer.name);
    let (workspace, api) = (format!("workspace-{name}"), format!("sls-api-{name}"));
    let gateway = format!("gateway-{name}-main");
    let config = world.object("LBGateway", &format!("{name}-main")).await.expect("a gateway");
    let config = config["spec"]["config"]["name"].as_str().expect("a configuration").to_owned();
    let scraped = json!({"metadata": {"annotations": {"prometheus.io/scrape": "false"}}});
    let rows: Vec<(&str, &str, Damage)> = vec![
        ("Secret", &config, Damage::Delete),
        ("Service", &gateway, Damage::Merge(scraped)),
        ("Deployment", &workspace, Damage::Delete),
        ("Service", &api, Damage::Delete),
        ("Service", &workspace, Damage::Merge(json!({"metadata": {"labels": {"producer": null}}}))),
        ("Deployment", &api, Damage::Merge(json!({"metadata": {"ownerReferences": []}}))),
        (
            "Service",
            &workspace,
            Damage::Json(
                json!([{"op": "add", "path": "/spec/ports/-", "value": {"name": "extra", "port": 9999}}]),
            ),
        ),
        (
            "Ingress",
            &workspace,
            Damage::Json(
                json!([{"op": "add", "path": "/spec/rules/-", "value": {"host": "evil.example.com"}}]),
            ),
        ),
        ("Deployment", &workspace, Damage::Merge(json!({"spec": {"replicas": 3}}))),
    ];
    for (kind, name, what) in &rows {
        put_back(&world, kind, name, what, Duration::from_secs(5)).await;
    }
}
