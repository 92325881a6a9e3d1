//! Everything that this crate does for the control plane, with the rights that the control plane has and no more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lb_cluster::{
    Applied, Cluster, Election, Events, LeaseSettings, Options, Owner, Records, Scope, Store, Target, Tone,
};
use lb_desired::build::LeafKind;
use lb_desired::crd::{ChildStatus, LBGateway, LBProducer, LBProducerStatus, rbac};
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane;
use lb_testkit::{eventually, unique};
use lb_vocab::Secret;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, Desired, connect, gateway, permission, settings};

/// Binds the control plane's roles to the user `lunchbadger`.
async fn grant(own: &TestCluster, target: &str, home: &str) {
    let client = own.client().await;
    for mut manifest in rbac(&settings(target, home)) {
        if manifest.get("subjects").is_some() {
            let user =
                json!({"kind": "User", "name": "lunchbadger", "apiGroup": "rbac.authorization.k8s.io"});
            manifest["subjects"] = json!([user]);
        }
        let text = |pointer: &str| manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", text("/kind"));
        let resource = ApiResource::from_gvk(&gvk);
        let api: Api<DynamicObject> = match manifest.pointer("/metadata/namespace").and_then(Value::as_str) {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let parameters = PatchParams::apply("test").force();
        api.patch(text("/metadata/name"), &parameters, &Patch::Apply(&manifest)).await.unwrap();
    }
}

#[tokio::test]
async fn the_control_plane_s_rights_are_enough() {
    // A cluster of its own: cluster roles have one name.
    let own = TestCluster::start(control_plane::Options::default()).await.unwrap();
    let (namespace, home) = (own.namespace("customer").await, own.namespace("home").await);
    let admin = connect(own.kubeconfig()).await;
    admin.apply_crds(&lb_desired::crd::all(), Duration::from_secs(60)).await.unwrap();
    grant(&own, &namespace, &home).await;
    let target =
        Target::Kubeconfig { path: own.kubeconfig().to_owned(), context: Some("lunchbadger".into()) };
    let cluster = Cluster::connect(&target, &Options::default()).await.unwrap();

    let settings = LeaseSettings::new(&home, "lunchbadger", "one");
    let (election, mut leadership) = Election::new(&cluster, settings, lb_testkit::clock::system());
    cluster.guard(leadership.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(election.run(stop.clone()));
    within("leadership", leadership.acquired(), || None).await;

    let producers = Store::<LBProducer>::watch(&cluster, &Scope::Everywhere, |_| {});
    let gateways = Store::<LBGateway>::watch(&cluster, &Scope::Namespace(namespace.clone()), |_| {});
    within("producers", producers.synced(), || producers.waiting()).await;
    within("gateways", gateways.synced(), || gateways.waiting()).await;
    let name = unique("al");
    assert!(cluster.create_producer(&producers, &name.parse().unwrap()).await.unwrap());
    let producer = producers.get("", &name).unwrap();
    let intent = gateway(&namespace, &name, "main");
    cluster.apply_child(&gateways, &Owner::of(producer.as_ref()).unwrap(), &intent).await.unwrap();
    let child = gateways.get(&namespace, &intent.name).unwrap();
    let owner = Owner::of(child.as_ref()).unwrap();

    let desired = Arc::new(Desired::default());
    *desired.owner.lock().unwrap() = Some(owner.uid);
    let records = Records::new(desired.clone());
    for kind in LeafKind::ALL {
        records.watch(&cluster, kind, &Scope::Namespace(namespace.clone()));
    }
    within("records", records.synced(), || Some(records.waiting().join(", "))).await;
    let bench = Bench {
        cluster: cluster.clone(),
        mallory: own.client().await,
        namespace: namespace.clone(),
        owner,
        desired,
        records,
        gateways: gateways.clone(),
        producer: producer.as_ref().clone(),
    };
    bench.stand(&bench.one_of_each()).await;
    // Put back, with what is foreign removed.
    let ports = json!([
        {"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP"},
        {"name": "x", "port": 9, "targetPort": 9, "protocol": "TCP"},
    ]);
    bench.meddle(LeafKind::Service, "main", json!({"spec": {"ports": ports}})).await;
    bench.caught_up(LeafKind::Service, "main").await;
    assert_eq!(bench.apply(&bench.service("main")).await.unwrap(), Applied::Changed);
    cluster.dry_run(&bench.owner, &bench.deployment("main")).await.unwrap();
    let forged = Secret::new("forged".to_owned());
    assert_eq!(cluster.review_token(&forged, "git-api").await.unwrap(), None);

    report(&own, &bench, &producers, &child).await;
    let mut credentials = bench.secret("credentials", "djE=");
    credentials.manifest.edit(|manifest| manifest["metadata"]["labels"]["app"] = json!("credentials"));
    cluster.create_secret_if_absent(&bench.records, &credentials).await.unwrap();
    assert!(cluster.read_secret(&namespace, "credentials").await.unwrap().is_some());
    assert!(cluster.delete_secret(&namespace, "credentials").await.unwrap());
    let data = |text: &str| [("state".to_owned(), text.to_owned())].into();
    let first = cluster.write_config(&home, "lunchbadger-brake", &data("one"), None).await.unwrap();
    cluster.write_config(&home, "lunchbadger-brake", &data("two"), Some(first)).await.unwrap();

    eventually("all is pruned", || async {
        match cluster.prune(&bench.records, bench.owner.uid, &BTreeSet::new()).await {
            Ok(pruned) if pruned.remaining == 0 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let environment = "dev".parse().unwrap();
    let owner = Owner::of(producer.as_ref()).unwrap();
    let pruned = cluster
        .prune_children(&gateways, owner.uid, &environment, &BTreeSet::new(), &permission(&name))
        .await;
    assert_eq!(pruned.unwrap().deleted, 1);
    stop.cancel();
    running.await.unwrap();
}

/// Waits for a minute at most; then says what is being waited for.
async fn within(what: &str, done: impl Future<Output = ()>, waiting: impl Fn() -> Option<String>) {
    let late = tokio::time::timeout(Duration::from_secs(60), done).await.is_err();
    assert!(!late, "{what}: {:?}", waiting());
}

/// Status and Events, of a child and of its producer.
async fn report(own: &TestCluster, bench: &Bench, producers: &Store<LBProducer>, child: &LBGateway) {
    let (cluster, producer) = (&bench.cluster, &bench.producer);
    let status = ChildStatus { objects: "6/6".into(), ..ChildStatus::default() };
    assert!(cluster.write_status(&bench.gateways, child, &status).await.unwrap());
    let status = LBProducerStatus { missing_since: Some(1), ..LBProducerStatus::default() };
    assert!(cluster.write_status(producers, producer, &status).await.unwrap());
    let events = Events::start(cluster, "test-0");
    events.note(child, Tone::Normal, "Applied", "6 objects stand");
    events.note(producer, Tone::Normal, "Applied", "all children stand");
    for about in [bench.namespace.as_str(), "default"] {
        let api: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(own.client().await, about);
        eventually("the Event is there", || async {
            let list = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            if list.items.iter().any(|event| event.reason.as_deref() == Some("Applied")) {
                Ok(())
            } else {
                Err("none".to_owned())
            }
        })
        .await;
    }
}
