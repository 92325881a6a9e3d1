//! Drift is put back: one row each.

use std::sync::Arc;
use std::time::Duration;

use kube::api::DeleteParams;
use lb_cluster::Applied;
use lb_desired::build::{LeafKind, projection};
use lb_testkit::{eventually, eventually_within};
use serde_json::{Value, json};

use crate::support::Bench;

/// Applies what is desired whenever a change is told, as a child's driver does.
fn keep_standing(bench: &Arc<Bench>) -> tokio::task::JoinHandle<()> {
    let bench = Arc::clone(bench);
    tokio::spawn(async move {
        loop {
            bench.desired.told.notified().await;
            for leaf in bench.desired.leaves() {
                // A conflict is told by the next event.
                let _ = bench.apply(&leaf).await;
            }
        }
    })
}

enum Meddling {
    Delete,
    Change(Value),
}

#[tokio::test]
async fn what_others_change_is_put_back() {
    use LeafKind::{Deployment, Ingress, NetworkPolicy, Secret, Service, ServiceAccount};
    use Meddling::{Change, Delete};
    let bench = Arc::new(Bench::new().await);
    bench.stand(&bench.one_of_each()).await;
    let driver = keep_standing(&bench);
    let http = json!({"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"});
    let rule = |host: &str| {
        let backend = json!({"service": {"name": "main", "port": {"number": 8080}}});
        json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
    };
    for (what, kind, meddling) in [
        ("service deleted", Service, Delete),
        ("deployment deleted", Deployment, Delete),
        ("service account deleted", ServiceAccount, Delete),
        ("secret edited", Secret, Change(json!({"data": {"file": "djI="}}))),
        ("secret key added", Secret, Change(json!({"data": {"more": "djI="}}))),
        ("label removed", Service, Change(json!({"metadata": {"labels": {"app": null}}}))),
        ("label changed", Service, Change(json!({"metadata": {"labels": {"producer": "bo"}}}))),
        (
            "label that is not selected by removed",
            Ingress,
            Change(json!({"metadata": {"labels": {"instance": null}}})),
        ),
        ("owner removed", Service, Change(json!({"metadata": {"ownerReferences": null}}))),
        (
            "owner and label removed",
            Secret,
            Change(json!({"metadata": {"ownerReferences": null, "labels": {"producer": null}}})),
        ),
        (
            "port added",
            Service,
            Change(
                json!({"spec": {"ports": [http, {"name": "x", "port": 9, "targetPort": 9, "protocol": "TCP"}]}}),
            ),
        ),
        ("selector widened", Service, Change(json!({"spec": {"selector": {"producer": null, "app": "x"}}}))),
        (
            "host added",
            Ingress,
            Change(json!({"spec": {"rules": [rule("main-al-dev.example.test"), rule("evil.example.test")]}})),
        ),
        ("scaled", Deployment, Change(json!({"spec": {"replicas": 5}}))),
        ("policy opened", NetworkPolicy, Change(json!({"spec": {"ingress": [{}]}}))),
        ("policy emptied", NetworkPolicy, Change(json!({"spec": {"ingress": null}}))),
        ("token mounted", ServiceAccount, Change(json!({"automountServiceAccountToken": true}))),
    ] {
        match meddling {
            Delete => {
                bench.api(kind).delete("main", &DeleteParams::default()).await.unwrap();
            }
            Change(change) => bench.meddle(kind, "main", change).await,
        }
        let leaf = bench.desired.leaves().into_iter().find(|leaf| leaf.kind == kind).unwrap();
        eventually_within(what, Duration::from_secs(10), || async {
            let live = bench.live(kind, "main").await.ok_or_else(|| "it is not there".to_owned())?;
            let owned = live["metadata"]["ownerReferences"][0]["uid"] == json!(bench.owner.uid.to_string());
            if owned && projection::matches(&leaf.manifest.value(), &live) {
                Ok(())
            } else {
                Err(live.to_string())
            }
        })
        .await;
        bench.caught_up(kind, "main").await;
    }
    driver.abort();
}

/// Again and again, because a watch is quick, too.
#[tokio::test]
async fn who_looks_does_not_wait_for_the_watch() {
    let bench = Bench::new().await;
    let leaf = bench.service_account("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let look_and_apply = async || {
        bench.cluster.look(&bench.records, &bench.owner, &leaf).await.unwrap();
        bench.apply(&leaf).await.unwrap()
    };
    for _ in 0..20 {
        assert_eq!(look_and_apply().await, Applied::Unchanged);
        bench.meddle(leaf.kind, "main", json!({"automountServiceAccountToken": true})).await;
        assert_eq!(look_and_apply().await, Applied::Changed);
        bench.api(leaf.kind).delete("main", &DeleteParams::default()).await.unwrap();
        assert_eq!(look_and_apply().await, Applied::Created);
    }
    bench.caught_up(leaf.kind, "main").await;
}

#[tokio::test]
async fn an_environment_variable_that_somebody_adds_goes() {
    let bench = Bench::new().await;
    let leaf = bench.deployment("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let mut live = bench.live(LeafKind::Deployment, "main").await.unwrap();
    let containers = live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap();
    containers[0]["env"].as_array_mut().unwrap().push(json!({"name": "NODE_OPTIONS", "value": "--inspect"}));
    containers.push(json!({"name": "sidecar", "image": "localhost/mesh:1"}));
    let change = json!({"spec": {"template": {"spec": {"containers": containers}}}});
    bench.meddle(LeafKind::Deployment, "main", change).await;
    bench.caught_up(LeafKind::Deployment, "main").await;
    // The Deployment's controller writes its status meanwhile: a conflict is tried again, as the queue does.
    let applied =
        eventually("it is applied", || async { bench.apply(&leaf).await.map_err(|error| error.to_string()) });
    assert_eq!(applied.await, Applied::Changed);
    let live = bench.live(LeafKind::Deployment, "main").await.unwrap();
    let containers = live["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 2, "an injected container stays: {containers:?}");
    assert_eq!(containers[0]["env"], json!([{"name": "LOG_LEVEL", "value": "info"}]));
    bench.caught_up(LeafKind::Deployment, "main").await;
    assert_eq!(bench.apply(&leaf).await.unwrap(), Applied::Unchanged);
}

#[tokio::test]
async fn foreign_labels_and_annotations_stay_and_cost_nothing() {
    let bench = Bench::new().await;
    bench.stand(&bench.one_of_each()).await;
    for leaf in bench.one_of_each() {
        bench.caught_up(leaf.kind, "main").await;
    }
    let before = bench.cluster.requests().total();
    bench.desired.changes();
    for leaf in bench.one_of_each() {
        let change = json!({"metadata": {"annotations": {"note": "mine"}, "labels": {"team": "blue"}}});
        bench.meddle(leaf.kind, "main", change).await;
        bench.caught_up(leaf.kind, "main").await;
        assert_eq!(bench.apply(&leaf).await.unwrap(), Applied::Unchanged, "{}", leaf.kind.kind());
        let live = bench.live(leaf.kind, "main").await.unwrap();
        assert_eq!(live["metadata"]["annotations"]["note"], "mine");
        assert_eq!(live["metadata"]["labels"]["team"], "blue");
    }
    assert_eq!(bench.cluster.requests().total(), before, "nothing is sent where nothing differs");
    let told: Vec<_> =
        bench.desired.changes().into_iter().filter(|c| c.kind != LeafKind::Deployment).collect();
    assert!(told.is_empty(), "nobody is told where nothing differs: {told:?}");
}

#[tokio::test]
async fn an_autoscaler_keeps_its_number_of_pods() {
    let bench = Bench::new().await;
    let leaf = bench.deployment("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    // As the horizontal pod autoscaler of the controller-manager scales.
    let controllers =
        crate::support::shared().await.client_for(lb_testkit::cluster::User::ControllerManager).await;
    let scale = kube::api::PatchParams {
        field_manager: Some("kube-controller-manager".into()),
        ..kube::api::PatchParams::default()
    };
    let deployments: kube::Api<k8s_openapi::api::apps::v1::Deployment> =
        kube::Api::namespaced(controllers, &bench.namespace);
    let three = kube::api::Patch::Merge(json!({"spec": {"replicas": 3}}));
    deployments.patch_scale("main", &scale, &three).await.unwrap();
    eventually("the record knows of the autoscaler", || async {
        match bench.records.get(LeafKind::Deployment, &bench.namespace, "main") {
            Some(record) if record.autoscaled => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(bench.apply(&leaf).await.unwrap(), Applied::Unchanged);
    // Another change goes through and leaves the number alone.
    let mut next = leaf;
    next.manifest.edit(|manifest| {
        manifest["spec"]["template"]["spec"]["containers"][0]["image"] = json!("localhost/gateway:2");
    });
    assert_eq!(bench.apply(&next).await.unwrap(), Applied::Changed);
    let live = bench.live(LeafKind::Deployment, "main").await.unwrap();
    assert_eq!(live["spec"]["replicas"], 3);
    assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "localhost/gateway:2");
}
