//! Prune: by controller owner, exactly what was looked at, gone only when the watch says so.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::Api;
use kube::api::{DeleteParams, PostParams};
use lb_cluster::{ApiError, Applied, Pruned, Retry, Uid};
use lb_desired::build::LeafKind;
use lb_desired::crd::{LBGateway, all};
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::eventually;
use serde_json::json;

use crate::support::{Bench, connect};

/// Prunes as a driver does: again where a controller's status moved an object meanwhile.
async fn prune(bench: &Bench, desired: &BTreeSet<(LeafKind, String)>) -> Pruned {
    eventually("it is pruned", || {
        let attempt = bench.cluster.prune(&bench.records, bench.owner.uid, desired);
        async move {
            match attempt.await {
                Err(error) => {
                    assert_eq!(error.retry(), Retry::Soon, "{error}");
                    Err(error)
                }
                pruned => pruned,
            }
        }
    })
    .await
}

async fn gone(bench: &Bench, left: usize) {
    eventually("what was deleted is gone from the records", || async {
        let count = bench.records.count(bench.owner.uid);
        if count == left { Ok(()) } else { Err(format!("{count} instead of {left}")) }
    })
    .await;
}

#[tokio::test]
async fn what_is_not_desired_goes_and_what_is_stays() {
    let bench = Bench::new().await;
    bench.stand(&bench.one_of_each()).await;
    bench.stand(&[bench.service("old"), bench.deployment("old")]).await;
    bench.desired.want(bench.one_of_each());
    let desired = bench.desired.names();
    assert_eq!(bench.records.count(bench.owner.uid), 8);
    assert!(prune(&bench, &desired).await.remaining <= 2);
    gone(&bench, 6).await;
    let before = bench.cluster.requests().total();
    let pruned = bench.cluster.prune(&bench.records, bench.owner.uid, &desired).await.unwrap();
    assert_eq!(pruned, Pruned::default());
    assert_eq!(bench.cluster.requests().total(), before, "nothing is sent where nothing is to go");
    assert!(bench.live(LeafKind::Service, "old").await.is_none());
    assert!(bench.live(LeafKind::Service, "main").await.is_some());

    assert!(prune(&bench, &BTreeSet::new()).await.remaining <= 6);
    gone(&bench, 0).await;
}

#[tokio::test]
async fn what_merely_looks_like_ours_stays() {
    let bench = Bench::new().await;
    bench.stand(&[bench.service("main")]).await;
    // Our labels, no owner; a reference to our owner that does not control; and one that does, by somebody else.
    let api = bench.api(LeafKind::Secret);
    let reference = |controller: bool| {
        json!([{"apiVersion": "lunchbadger.io/v1alpha1", "kind": "LBGateway", "controller": controller,
            "name": bench.owner.name, "uid": bench.owner.uid.to_string()}])
    };
    let strangers =
        [("unowned", json!(null)), ("referring", reference(false)), ("controlled", reference(true))];
    for (name, owners) in &strangers {
        let mut manifest = bench.secret(name, "djE=").manifest.value();
        manifest["metadata"]["ownerReferences"] = owners.clone();
        api.create(&PostParams::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
        bench.caught_up(LeafKind::Secret, name).await;
    }
    assert_eq!(bench.records.unowned().len(), 2);
    let pruned = bench.cluster.prune(&bench.records, bench.owner.uid, &BTreeSet::new()).await.unwrap();
    assert_eq!(pruned, Pruned { deleted: 1, remaining: 1 });
    gone(&bench, 1).await;
    for (name, _) in strangers {
        assert!(bench.live(LeafKind::Secret, name).await.is_some(), "{name}");
    }
}

#[tokio::test]
async fn orphans_go_once_the_api_server_says_that_their_owner_is_gone() {
    // A cluster of its own, without a garbage collector that would be faster.
    let own = TestCluster::start(Options::default()).await.unwrap();
    connect(own.kubeconfig()).await.apply_crds(&all(), Duration::from_secs(60)).await.unwrap();
    own.stop_controllers().await;
    let bench = Bench::on(&own).await;
    bench.stand(&[bench.service("main"), bench.secret("main", "djE="), bench.service("taken")]).await;
    let prune = |owner: Uid| bench.cluster.prune_orphans(&bench.records, owner);

    // No store may know an owner that stands: one that cannot be read is in none.
    let owner = bench.owner.uid;
    assert_eq!(prune(owner).await.unwrap(), Pruned { deleted: 0, remaining: 3 });

    // What was ours and has another controller now is that one's, whether or not it is there.
    let other = "0ca50968-f2a5-4f2f-a008-a9b982411813";
    let taken =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": other, "controller": true}]);
    bench.meddle(LeafKind::Service, "taken", json!({"metadata": {"ownerReferences": taken}})).await;
    bench.caught_up(LeafKind::Service, "taken").await;
    assert_eq!(prune(Uid::parse(other)).await.unwrap(), Pruned { deleted: 0, remaining: 1 });

    let gateways: Api<LBGateway> = Api::namespaced(own.client().await, &bench.namespace);
    gateways.delete(&bench.owner.name, &DeleteParams::background()).await.unwrap();
    assert_eq!(prune(owner).await.unwrap(), Pruned { deleted: 2, remaining: 2 });
    gone(&bench, 0).await;
    assert_eq!(prune(owner).await.unwrap(), Pruned::default());
    assert!(bench.live(LeafKind::Service, "taken").await.is_some());
}

#[tokio::test]
async fn an_object_that_moved_is_looked_at_again_before_it_goes() {
    let bench = Bench::new().await;
    bench.stand(&[bench.service("main"), bench.secret("main", "djE=")]).await;
    // Records that have not heard of a change: as they were before the watch tells.
    let stale = lb_cluster::Records::new(bench.desired.clone());
    let here = lb_cluster::Scope::Namespace(bench.namespace.clone());
    for kind in [LeafKind::Service, LeafKind::Secret] {
        stale.watch(&bench.cluster, kind, &here);
    }
    stale.synced().await;
    bench.meddle(LeafKind::Service, "main", json!({"metadata": {"annotations": {"a": "b"}}})).await;
    match bench.cluster.prune(&stale, bench.owner.uid, &BTreeSet::new()).await {
        // The watch was faster.
        Ok(pruned) => assert_eq!(pruned.deleted, 2),
        Err(error) => {
            assert_eq!(error.retry(), Retry::Soon, "{error}");
            assert!(bench.live(LeafKind::Service, "main").await.is_some());
            bench.caught_up(LeafKind::Service, "main").await;
            let pruned = bench.cluster.prune(&bench.records, bench.owner.uid, &BTreeSet::new()).await;
            assert!(pruned.unwrap().remaining >= 1);
        }
    }
    gone(&bench, 0).await;
}

#[tokio::test]
async fn what_is_on_its_way_out_is_neither_deleted_twice_nor_applied_to() {
    let bench = Bench::new().await;
    let leaf = bench.secret("main", "djE=");
    bench.stand(std::slice::from_ref(&leaf)).await;
    bench
        .meddle(LeafKind::Secret, "main", json!({"metadata": {"finalizers": ["test.lunchbadger.io/hold"]}}))
        .await;
    bench.caught_up(LeafKind::Secret, "main").await;
    let none = BTreeSet::new();
    let pruned = bench.cluster.prune(&bench.records, bench.owner.uid, &none).await.unwrap();
    assert_eq!(pruned, Pruned { deleted: 1, remaining: 1 });
    let before = bench.cluster.requests().total();
    let pruned = bench.cluster.prune(&bench.records, bench.owner.uid, &none).await.unwrap();
    assert_eq!(pruned, Pruned { deleted: 0, remaining: 1 });
    let error = bench.apply(&leaf).await.unwrap_err();
    assert_eq!(error.name(), "Deleting");
    assert_eq!(bench.cluster.requests().total(), before);
    bench.caught_up(LeafKind::Secret, "main").await;
    assert_eq!(bench.records.count(bench.owner.uid), 1, "it is not gone before it is gone");
    bench.meddle(LeafKind::Secret, "main", json!({"metadata": {"finalizers": null}})).await;
    gone(&bench, 0).await;
    assert_eq!(bench.apply(&leaf).await.unwrap(), Applied::Created);
}

#[tokio::test]
async fn all_are_tried_and_the_first_failure_is_told() {
    let bench = Bench::new().await;
    bench.stand(&bench.one_of_each()).await;
    let nobody = lb_testkit::free_port();
    // A cluster that does not answer: nothing is confirmed, so nothing leaves the records.
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{nobody}")}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "admin", "context": {"cluster": "c", "user": "u"}}],
    });
    let directory = std::env::temp_dir().join(lb_testkit::unique("lb-cluster-"));
    std::fs::write(&directory, kubeconfig.to_string()).unwrap();
    let silent = crate::support::connect(&directory).await;
    std::fs::remove_file(&directory).unwrap();
    let error = silent.prune(&bench.records, bench.owner.uid, &BTreeSet::new()).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert_eq!(silent.requests().writes(), 6);
    assert_eq!(bench.records.count(bench.owner.uid), 6);
    assert!(bench.records.owned_by(bench.owner.uid).iter().all(|(_, _, _, record)| !record.deleting));
}
