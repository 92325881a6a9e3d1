//! Apply: who may be applied to, and how little is sent.

use kube::api::{Patch, PatchParams, PostParams};
use lb_cluster::{Applied, ApplyError, Owner, Retry, Uid, Verb};
use lb_desired::build::LeafKind;
use lb_desired::crd::FIELD_MANAGER;
use serde_json::{Value, json};

use crate::support::Bench;

fn object(leaf: &Value) -> kube::api::DynamicObject {
    serde_json::from_value(leaf.clone()).unwrap()
}

#[tokio::test]
async fn each_object_takes_one_request_and_then_none() {
    let bench = Bench::new().await;
    let leaves = bench.one_of_each();
    bench.desired.want(leaves.clone());
    let before = bench.cluster.requests().total();
    for (n, leaf) in (1..).zip(&leaves) {
        assert_eq!(bench.apply(leaf).await.unwrap(), Applied::Created);
        assert_eq!(bench.cluster.requests().total(), before + n, "{}", leaf.kind.kind());
    }
    for leaf in &leaves {
        assert_eq!(bench.apply(leaf).await.unwrap(), Applied::Unchanged);
    }
    assert_eq!(bench.cluster.requests().total(), before + 6);
    for leaf in &leaves {
        let live = bench.live(leaf.kind, "main").await.unwrap();
        let owners = live["metadata"]["ownerReferences"].as_array().unwrap();
        assert_eq!(owners.len(), 1);
        assert_eq!(owners[0]["controller"], true);
        assert_eq!(owners[0]["blockOwnerDeletion"], true);
        assert_eq!(owners[0]["kind"], "LBGateway");
        let manager = &live["metadata"]["managedFields"][0];
        assert_eq!((&manager["manager"], &manager["operation"]), (&json!(FIELD_MANAGER), &json!("Apply")));
    }
}

#[tokio::test]
async fn a_changed_leaf_takes_one_request_and_drops_what_it_no_longer_sets() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let mut next = leaf;
    next.manifest.edit(|manifest| manifest["spec"]["ports"][0]["port"] = json!(8081));
    next.manifest.edit(|manifest| {
        manifest["metadata"]["labels"].as_object_mut().unwrap().remove("instance");
    });
    let before = bench.cluster.requests().total();
    assert_eq!(bench.apply(&next).await.unwrap(), Applied::Changed);
    assert_eq!(bench.cluster.requests().total(), before + 1);
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["spec"]["ports"].as_array().unwrap().len(), 1);
    assert_eq!(live["spec"]["ports"][0]["port"], 8081);
    assert_eq!(live["metadata"]["labels"].get("instance"), None);
}

#[tokio::test]
async fn an_object_without_owner_is_not_adopted() {
    let bench = Bench::new().await;
    let leaf = bench.secret("main", "djE=");
    let theirs = bench.secret("main", "djI=");
    let api = bench.api(LeafKind::Secret);
    // Somebody's, without our labels: our watch does not see it.
    let mut hidden = theirs.manifest.value();
    hidden["metadata"].as_object_mut().unwrap().remove("labels");
    let made = PostParams { field_manager: Some("old-system".into()), ..PostParams::default() };
    api.create(&made, &object(&hidden)).await.unwrap();
    let error = bench.apply(&leaf).await.unwrap_err();
    let ApplyError::Foreign { managers, fields, .. } = &error else { panic!("{error}") };
    assert_eq!(managers, &["old-system"]);
    assert_eq!(fields, &[".data.file"]);
    assert_eq!((error.name(), error.retry()), ("Foreign", Retry::Backoff));
    // Also where nothing of it conflicts.
    bench.meddle(LeafKind::Secret, "main", json!({"data": null})).await;
    assert!(matches!(bench.apply(&leaf).await.unwrap_err(), ApplyError::Foreign { .. }));
    // And where it carries our labels: that is seen without a request.
    bench
        .meddle(
            LeafKind::Secret,
            "main",
            json!({"metadata": {"labels": leaf.manifest.value()["metadata"]["labels"]}}),
        )
        .await;
    bench.caught_up(LeafKind::Secret, "main").await;
    let before = bench.cluster.requests().total();
    assert!(matches!(bench.apply(&leaf).await.unwrap_err(), ApplyError::Foreign { .. }));
    assert_eq!(bench.cluster.requests().total(), before);
    let names: Vec<_> = bench.records.unowned().into_iter().map(|(_, _, name, _)| name.to_string()).collect();
    assert_eq!(names, ["main"]);
    let live = bench.live(LeafKind::Secret, "main").await.unwrap();
    assert_eq!(live["metadata"].get("ownerReferences"), None);
    assert_eq!(live.get("data"), None);
}

#[tokio::test]
async fn an_object_of_another_owner_is_left_alone() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    // An owner that exists, or the garbage collector takes the object.
    let api = bench.api(LeafKind::Secret);
    let boss = api
        .create(&PostParams::default(), &object(&bench.secret("boss", "djE=").manifest.value()))
        .await
        .unwrap();
    let mut theirs = leaf.manifest.value();
    theirs["metadata"].as_object_mut().unwrap().remove("labels");
    theirs["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Secret", "name": "boss", "uid": boss.metadata.uid, "controller": true,
    }]);
    bench.api(LeafKind::Service).create(&PostParams::default(), &object(&theirs)).await.unwrap();
    // One that our watch does not see, and then one that it sees.
    let error = bench.apply(&leaf).await.unwrap_err();
    let ApplyError::OtherOwner { owner, .. } = &error else { panic!("{error}") };
    assert_eq!(owner, "Secret boss");
    bench
        .meddle(
            LeafKind::Service,
            "main",
            json!({"metadata": {"labels": leaf.manifest.value()["metadata"]["labels"]}}),
        )
        .await;
    bench.caught_up(LeafKind::Service, "main").await;
    let before = bench.cluster.requests().total();
    let error = bench.apply(&leaf).await.unwrap_err();
    assert!(matches!(error, ApplyError::OtherOwner { .. }), "{error}");
    assert_eq!(bench.cluster.requests().total(), before);
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn two_owners_cannot_have_one_object() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let rival = Owner {
        name: "rival".into(),
        uid: Uid::parse("0ca50968-f2a5-4f2f-a008-a9b982411813"),
        ..bench.owner.clone()
    };
    let before = bench.cluster.requests().writes();
    let error = bench.cluster.apply(&bench.records, &rival, &leaf).await.unwrap_err();
    assert!(matches!(error, ApplyError::OtherOwner { .. }), "{error}");
    assert_eq!(bench.cluster.requests().writes(), before, "known without asking");
    // Who does not know asks, and is refused: 422 or a conflict, and then a look.
    let blind = lb_cluster::Records::new(bench.desired.clone());
    let error = bench.cluster.apply(&blind, &rival, &leaf).await.unwrap_err();
    let ApplyError::OtherOwner { owner, .. } = &error else { panic!("{error}") };
    assert_eq!(owner, &format!("LBGateway {}", bench.owner.name));
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["metadata"]["ownerReferences"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_field_is_taken_back_by_force_on_what_is_ours() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    // Another manager takes a field by force, as kubectl apply does.
    let mut theirs = leaf.manifest.value();
    theirs["metadata"].as_object_mut().unwrap().remove("labels");
    theirs["spec"] = json!({"selector": {"producer": "bo"}});
    let parameters = PatchParams::apply("test-mallory").force();
    bench.api(LeafKind::Service).patch("main", &parameters, &Patch::Apply(&theirs)).await.unwrap();
    bench.caught_up(LeafKind::Service, "main").await;
    assert_eq!(bench.apply(&leaf).await.unwrap(), Applied::Changed);
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["spec"]["selector"], json!({"producer": "al"}));
}

#[tokio::test]
async fn an_object_that_was_replaced_is_not_mistaken_for_ours() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let stale = lb_cluster::Records::new(bench.desired.clone());
    stale.watch(&bench.cluster, LeafKind::Service, &lb_cluster::Scope::Namespace(bench.namespace.clone()));
    stale.synced().await;
    let mut next = leaf.clone();
    next.manifest.edit(|manifest| manifest["spec"]["ports"][0]["port"] = json!(8081));
    // The object of that uid is gone and another has its name.
    let api = bench.api(LeafKind::Service);
    api.delete("main", &kube::api::DeleteParams::default()).await.unwrap();
    let mut theirs = leaf.manifest.value();
    theirs["metadata"].as_object_mut().unwrap().remove("labels");
    api.create(&PostParams::default(), &object(&theirs)).await.unwrap();
    let error = bench.apply(&next).await.unwrap_err();
    match error {
        // The watch has told already, or the uid says so.
        ApplyError::Foreign { .. } => {}
        ApplyError::Api(error) => assert!(matches!(error.code(), Some(409 | 422)), "{error}"),
        error @ (ApplyError::OtherOwner { .. } | ApplyError::Deleting { .. }) => panic!("{error}"),
    }
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["spec"]["ports"][0]["port"], 8080);
    assert_eq!(live["metadata"].get("ownerReferences"), None);
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused_for_good() {
    let bench = Bench::new().await;
    let mut leaf = bench.service("main");
    leaf.manifest.edit(|manifest| manifest["spec"]["prots"] = json!([]));
    let error = bench.apply(&leaf).await.unwrap_err();
    assert_eq!((error.name(), error.retry()), ("Refused", Retry::Never), "{error}");
    assert!(error.to_string().contains("prots"), "{error}");
    let mut leaf = bench.service("main");
    leaf.manifest.edit(|manifest| manifest["spec"]["ports"][0]["port"] = json!(99_999));
    let error = bench.apply(&leaf).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Never, "{error}");
    assert!(bench.live(LeafKind::Service, "main").await.is_none());
}

#[tokio::test]
async fn a_namespace_that_is_missing_may_come() {
    let bench = Bench::new().await;
    let mut leaf = bench.service("main");
    leaf.namespace = "nowhere".to_owned();
    leaf.manifest.edit(|manifest| manifest["metadata"]["namespace"] = json!("nowhere"));
    let error = bench.apply(&leaf).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error}");
}

#[tokio::test]
async fn a_dry_run_shows_what_would_stand_and_changes_nothing() {
    let bench = Bench::new().await;
    let leaf = bench.service("main");
    let run = bench.cluster.dry_run(&bench.owner, &leaf).await.unwrap();
    assert_eq!(run.live, None);
    assert_eq!(run.would_be["spec"]["sessionAffinity"], "None", "defaults are shown");
    assert!(bench.live(LeafKind::Service, "main").await.is_none());

    bench.stand(std::slice::from_ref(&leaf)).await;
    let extra = json!([leaf.manifest.value()["spec"]["ports"][0], {"name": "x", "port": 9, "targetPort": 9, "protocol": "TCP"}]);
    bench.meddle(LeafKind::Service, "main", json!({"spec": {"ports": extra}})).await;
    let mut next = leaf;
    next.manifest.edit(|manifest| manifest["spec"]["ports"][0]["targetPort"] = json!(1));
    let run = bench.cluster.dry_run(&bench.owner, &next).await.unwrap();
    assert_eq!(run.live.unwrap()["spec"]["ports"].as_array().unwrap().len(), 2);
    assert_eq!(run.would_be["spec"]["ports"].as_array().unwrap().len(), 1);
    assert_eq!(run.would_be["spec"]["ports"][0]["targetPort"], 1);
    let live = bench.live(LeafKind::Service, "main").await.unwrap();
    assert_eq!(live["spec"]["ports"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn requests_are_counted_by_what_they_do() {
    let bench = Bench::new().await;
    let before = bench.cluster.requests().counts();
    bench.stand(&[bench.service("main")]).await;
    bench.cluster.dry_run(&bench.owner, &bench.service("main")).await.unwrap();
    let after = bench.cluster.requests().counts();
    assert_eq!(after[&Verb::Patch] - before[&Verb::Patch], 2);
    assert_eq!(after[&Verb::Get] - before[&Verb::Get], 1);
    assert_eq!(after[&Verb::Delete], 0);
}
