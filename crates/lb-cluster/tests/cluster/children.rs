//! Producers and children: followed, written at the version that is held, reported on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use kube::Api;
use kube::api::{Patch, PatchParams};
use lb_cluster::{Applied, ApplyError, Events, OPERATOR, Owner, Retry, Scope, Store, StoreChange, Tone, Uid};
use lb_desired::crd::{ChildStatus, ConditionStatus, ConditionType, LBGateway, LBProducer, condition};
use lb_testkit::{eventually, unique};
use serde_json::json;

use crate::support::{Bench, gateway, permission, shared};

fn owner(bench: &Bench) -> Owner {
    Owner::of(&bench.producer).unwrap()
}

fn named(bench: &Bench, instance: &str) -> lb_cluster::Intent<lb_desired::crd::LBGatewaySpec> {
    gateway(&bench.namespace, bench.producer.metadata.name.as_deref().unwrap(), instance)
}

async fn held(bench: &Bench, name: &str, what: &str, right: impl Fn(&LBGateway) -> bool) -> Arc<LBGateway> {
    eventually(what, || async {
        match bench.gateways.get(&bench.namespace, name) {
            Some(child) if right(&child) => Ok(child),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn a_child_is_written_once_and_an_equal_one_not_at_all() {
    let bench = Bench::new().await;
    let mut intent = named(&bench, "side");
    let before = bench.cluster.requests().total();
    let apply = |intent| {
        let (bench, owner) = (&bench, owner(&bench));
        async move { bench.cluster.apply_child(&bench.gateways, &owner, &intent).await }
    };
    assert_eq!(apply(intent.clone()).await.unwrap(), Applied::Created);
    assert_eq!(apply(intent.clone()).await.unwrap(), Applied::Unchanged);
    intent.spec.replicas = 3;
    assert_eq!(apply(intent.clone()).await.unwrap(), Applied::Changed);
    assert_eq!(bench.gateways.get(&bench.namespace, &intent.name).unwrap().spec.replicas, 3);
    assert_eq!(bench.cluster.requests().total(), before + 2);
    let child = bench.gateways.get(&bench.namespace, &intent.name).unwrap();
    assert_eq!(child.metadata.managed_fields, None, "managed fields are not held");
    assert_eq!(child.metadata.owner_references.as_ref().unwrap()[0].kind, "LBProducer");
    assert_eq!(bench.gateways.by_uid(Uid::of(child.as_ref()).unwrap()).unwrap().spec, child.spec);
    assert_eq!(bench.gateways.owned_by(owner(&bench).uid).len(), 2);
}

#[tokio::test]
async fn what_others_change_about_a_child_is_put_back() {
    let bench = Bench::new().await;
    let intent = named(&bench, "main");
    let api: Api<LBGateway> = Api::namespaced(bench.mallory.clone(), &bench.namespace);
    let parameters = PatchParams { field_manager: Some("test-mallory".into()), ..PatchParams::default() };
    for (what, change) in [
        ("spec", json!({"spec": {"replicas": 7}})),
        ("label", json!({"metadata": {"labels": {"producer": null}}})),
        ("owner", json!({"metadata": {"ownerReferences": null}})),
    ] {
        let changed = api.patch(&intent.name, &parameters, &Patch::Merge(&change)).await.unwrap();
        let version = changed.metadata.resource_version;
        held(&bench, &intent.name, what, |child| child.metadata.resource_version == version).await;
        let applied = bench.cluster.apply_child(&bench.gateways, &owner(&bench), &intent).await.unwrap();
        assert_eq!(applied, Applied::Changed, "{what}");
        let live = api.get(&intent.name).await.unwrap();
        assert_eq!(live.spec, intent.spec, "{what}");
        assert_eq!(live.metadata.owner_references.unwrap().len(), 1, "{what}");
        assert!(live.metadata.labels.unwrap().contains_key("producer"), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_paused_leader_cannot_put_an_old_plan_over_a_new_one() {
    let shared = shared().await;
    let bench = Bench::new().await;
    let paused = crate::support::connect(shared.kubeconfig()).await;
    // A replica whose store stands still from its next event on, until this test is over.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Mutex::new(released);
    let listed = Arc::new(AtomicBool::new(false));
    let pause = Arc::clone(&listed);
    let here = Scope::Namespace(bench.namespace.clone());
    let own = Store::<LBGateway>::watch(&paused, &here, move |_| {
        if pause.load(Ordering::SeqCst) {
            let _ = released.lock().unwrap().recv();
        }
    });
    own.synced().await;
    listed.store(true, Ordering::SeqCst);
    let mut new = named(&bench, "main");
    for replicas in [2, 3] {
        new.spec.replicas = replicas;
        bench.cluster.apply_child(&bench.gateways, &owner(&bench), &new).await.unwrap();
    }
    let mut old = named(&bench, "main");
    old.spec.replicas = 5;
    let error = paused.apply_child(&own, &owner(&bench), &old).await.unwrap_err();
    let ApplyError::Api(error) = error else { panic!("{error}") };
    assert!(error.is_conflict(), "{error}");
    assert_eq!(error.retry(), Retry::Soon);
    // Its status and its deletion hold for the version that it looked at, too.
    let seen = own.get(&bench.namespace, &new.name).unwrap();
    assert_ne!(seen.spec.replicas, 3);
    let status = ChildStatus { objects: "1/4".into(), ..ChildStatus::default() };
    let error = paused.write_status(&own, &seen, &status).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    let permission = permission(bench.producer.metadata.name.as_deref().unwrap());
    let error = paused.delete_child(&own, &bench.namespace, &new.name, &permission).await.unwrap_err();
    assert!(error.is_conflict(), "{error}");
    let api: Api<LBGateway> = Api::namespaced(bench.mallory.clone(), &bench.namespace);
    assert_eq!(api.get(&new.name).await.unwrap().spec.replicas, 3);
    drop(release);
}

#[tokio::test]
async fn a_child_of_another_producer_and_a_stranger_s_are_left_alone() {
    let bench = Bench::new().await;
    let intent = named(&bench, "main");
    let rival = Owner { name: "rival".into(), uid: Uid::parse("rival"), ..owner(&bench) };
    let before = bench.cluster.requests().writes();
    let error = bench.cluster.apply_child(&bench.gateways, &rival, &intent).await.unwrap_err();
    assert!(matches!(error, ApplyError::OtherOwner { .. }), "{error}");
    // One that nobody of us applied.
    let stranger = named(&bench, "stranger");
    let api: Api<LBGateway> = Api::namespaced(bench.mallory.clone(), &bench.namespace);
    api.create(&kube::api::PostParams::default(), &LBGateway::new(&stranger.name, stranger.spec.clone()))
        .await
        .unwrap();
    held(&bench, &stranger.name, "the stranger is seen", |_| true).await;
    let error = bench.cluster.apply_child(&bench.gateways, &owner(&bench), &stranger).await.unwrap_err();
    assert!(matches!(error, ApplyError::Foreign { .. }), "{error}");
    assert_eq!(bench.cluster.requests().writes(), before);
}

#[tokio::test]
async fn a_status_is_written_once_and_as_a_whole() {
    let bench = Bench::new().await;
    let name = named(&bench, "main").name;
    let child = bench.gateways.get(&bench.namespace, &name).unwrap();
    let mut status =
        ChildStatus { objects: "1/4".into(), findings: vec!["one".into()], ..ChildStatus::default() };
    let ready = condition(ConditionType::Ready, ConditionStatus::False, "Starting", "1 of 4");
    lb_desired::crd::set_condition(&mut status.conditions, ready, lb_testkit::clock::system().now());
    let before = bench.cluster.requests().total();
    assert!(bench.cluster.write_status(&bench.gateways, &child, &status).await.unwrap());
    let child = bench.gateways.get(&bench.namespace, &name).unwrap();
    assert_eq!(child.status.as_ref(), Some(&status), "it is known at once");
    assert!(!bench.cluster.write_status(&bench.gateways, &child, &status).await.unwrap());
    assert_eq!(bench.cluster.requests().total(), before + 1);
    // What is left out goes.
    let next = ChildStatus { objects: "4/4".into(), ..ChildStatus::default() };
    assert!(bench.cluster.write_status(&bench.gateways, &child, &next).await.unwrap());
    let api: Api<LBGateway> = Api::namespaced(bench.mallory.clone(), &bench.namespace);
    assert_eq!(api.get(&name).await.unwrap().status, Some(next));
}

#[tokio::test]
async fn changes_are_told_and_those_of_the_status_told_apart() {
    let bench = Bench::new().await;
    let told: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let tell = Arc::clone(&told);
    let here = Scope::Namespace(bench.namespace.clone());
    let store = Store::<LBGateway>::watch(&bench.cluster, &here, move |change| {
        let what = match change {
            StoreChange::Applied { old: None, .. } => "new",
            StoreChange::Applied { .. } => "changed",
            StoreChange::Removed(_) => "removed",
        };
        tell.lock().unwrap().push((what.to_owned(), change.matters()));
    });
    store.synced().await;
    let intent = named(&bench, "side");
    bench.cluster.apply_child(&store, &owner(&bench), &intent).await.unwrap();
    let child = store.get(&bench.namespace, &intent.name).unwrap();
    let status = ChildStatus { objects: "1/4".into(), ..ChildStatus::default() };
    bench.cluster.write_status(&store, &child, &status).await.unwrap();
    let api: Api<LBGateway> = Api::namespaced(bench.mallory.clone(), &bench.namespace);
    api.delete(&intent.name, &kube::api::DeleteParams::background()).await.unwrap();
    eventually("its end is told", || async {
        let told = told.lock().unwrap().clone();
        if told.last().is_some_and(|(what, _)| what == "removed") { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    let expected = [("new", true), ("new", true), ("changed", false), ("removed", true)];
    let told = told.lock().unwrap().clone();
    assert_eq!(
        told,
        expected.map(|(what, matters)| (what.to_owned(), matters)),
        "the list's, and ours, once each"
    );
}

#[tokio::test]
async fn a_producer_is_made_once_edited_by_operators_and_deleted_with_its_name() {
    let bench = Bench::new().await;
    let store = Store::<LBProducer>::watch(&bench.cluster, &Scope::Everywhere, |_| {});
    store.synced().await;
    let name = unique("bo").parse().unwrap();
    assert!(bench.cluster.create_producer(&store, &name).await.unwrap());
    let before = bench.cluster.requests().total();
    assert!(!bench.cluster.create_producer(&store, &name).await.unwrap());
    assert_eq!(bench.cluster.requests().total(), before);
    let producer = store.get("", name.as_str()).unwrap();
    assert_eq!(producer.spec.environments, ["dev"]);
    let changed =
        bench.cluster.edit(producer.as_ref(), &json!({"spec": {"access": "Disabled"}})).await.unwrap();
    assert_eq!(changed.spec.access, lb_desired::crd::Access::Disabled);
    let fields = changed.metadata.managed_fields.unwrap();
    assert!(fields.iter().any(|entry| entry.manager.as_deref() == Some(OPERATOR)));
    // A replica that has not heard of it does not touch it.
    let blind = Store::<LBProducer>::watch(&bench.cluster, &Scope::Namespace("nowhere".into()), |_| {});
    assert!(!bench.cluster.create_producer(&blind, &name).await.unwrap());
    let api: Api<LBProducer> = Api::all(bench.mallory.clone());
    assert_eq!(api.get(name.as_str()).await.unwrap().spec.access, lb_desired::crd::Access::Disabled);
    assert!(bench.cluster.delete_producer(&name).await.unwrap());
    assert!(!bench.cluster.delete_producer(&name).await.unwrap());
    let wrong =
        bench.cluster.edit(producer.as_ref(), &json!({"spec": {"access": "Maybe"}})).await.unwrap_err();
    assert!(wrong.is_not_found() || wrong.retry() == Retry::Never, "{wrong}");
}

#[tokio::test]
async fn events_are_written_in_the_background_and_become_a_series() {
    let bench = Bench::new().await;
    let child = bench.gateways.get(&bench.namespace, &named(&bench, "main").name).unwrap();
    let events = Events::start(&bench.cluster, "test-0");
    for n in 0..40 {
        events.note(
            child.as_ref(),
            Tone::Warning,
            "Foreign",
            &format!("somebody else's, {n} {}", "x".repeat(2000)),
        );
    }
    let api: Api<k8s_openapi::api::events::v1::Event> =
        Api::namespaced(bench.mallory.clone(), &bench.namespace);
    let event = eventually("the events are one series", || async {
        let list = api.list(&kube::api::ListParams::default()).await.map_err(|error| error.to_string())?;
        let [event] = list.items.as_slice() else { return Err(format!("{} events", list.items.len())) };
        match &event.series {
            Some(series) if series.count == 25 => Ok(event.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(event.reason.as_deref(), Some("Foreign"));
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert_eq!(event.regarding.unwrap().kind.as_deref(), Some("LBGateway"));
    assert_eq!(event.reporting_instance.as_deref(), Some("test-0"));
    assert_eq!(BTreeSet::from([event.note.unwrap().len()]), BTreeSet::from([1024]));
}

#[tokio::test]
async fn children_are_pruned_within_their_environment_and_owner_by_plan_s_permission() {
    let bench = Bench::new().await;
    let producer = bench.producer.metadata.name.clone().unwrap();
    let mut live = named(&bench, "live");
    live.name = format!("{producer}-live-main");
    live.spec.environment = "live".into();
    live.spec.instance = "main".into();
    live.spec.config.name = format!("gateway-{}-0123456789", live.name);
    for intent in [named(&bench, "keep"), named(&bench, "go"), live.clone()] {
        bench.cluster.apply_child(&bench.gateways, &owner(&bench), &intent).await.unwrap();
    }
    let permission = permission(&producer);
    let environment = "dev".parse().unwrap();
    let desired = [format!("{producer}-dev-keep")].into();
    let prune = || {
        bench.cluster.prune_children(&bench.gateways, owner(&bench).uid, &environment, &desired, &permission)
    };
    // `main` and `go`.
    assert_eq!(prune().await.unwrap().deleted, 2);
    eventually("both are gone", || async {
        let names: Vec<_> = bench.gateways.names().iter().map(ToString::to_string).collect();
        if names == [format!("{producer}-dev-keep"), live.name.clone()] {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    let before = bench.cluster.requests().total();
    assert_eq!(prune().await.unwrap(), lb_cluster::Pruned::default());
    assert_eq!(bench.cluster.requests().total(), before);
    let delete = || bench.cluster.delete_child(&bench.gateways, &bench.namespace, &live.name, &permission);
    assert!(delete().await.unwrap());
    eventually("it is gone", || async {
        if bench.gateways.get(&bench.namespace, &live.name).is_none() { Ok(()) } else { Err("it stands") }
    })
    .await;
    assert!(!delete().await.unwrap());
}
