//! Records: what is known of what stands, at which price, and across interruptions.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, PostParams};
use lb_cluster::{Applied, Records, Rollout, Scope, State};
use lb_desired::build::LeafKind;
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::{eventually, eventually_within};
use serde_json::json;

use crate::support::{Bench, Desired, shared};

#[tokio::test]
async fn an_own_write_enters_at_once_and_is_not_told() {
    let bench = Bench::new().await;
    let leaf = bench.secret("main", "djE=");
    bench.stand(std::slice::from_ref(&leaf)).await;
    let record = bench.records.get(LeafKind::Secret, &bench.namespace, "main").unwrap();
    assert!(record.matches(&leaf.manifest.digest()));
    assert_eq!((record.owner, record.ours, record.deleting), (Some(bench.owner.uid), true, false));
    // Write after write: whatever event comes in between is older than the record, and changes nothing.
    for n in 0..30 {
        let next = bench.secret("main", if n % 2 == 0 { "djI=" } else { "djE=" });
        bench.desired.want([next.clone()]);
        assert_eq!(bench.apply(&next).await.unwrap(), Applied::Changed, "write {n}");
        let record = bench.records.get(LeafKind::Secret, &bench.namespace, "main").unwrap();
        assert!(record.matches(&next.manifest.digest()), "write {n}");
        assert_eq!(bench.apply(&next).await.unwrap(), Applied::Unchanged, "write {n}");
    }
    // A later event of somebody else is seen.
    bench.meddle(LeafKind::Secret, "main", json!({"data": {"file": "djM="}})).await;
    eventually("drift is seen", || async {
        match bench.records.get(LeafKind::Secret, &bench.namespace, "main").map(|record| record.state) {
            Some(State::Drifted) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn changes_are_told_with_the_owner_also_where_it_was_taken_off() {
    let bench = Bench::new().await;
    bench.stand(&[bench.service("main"), bench.secret("main", "djE=")]).await;
    for kind in [LeafKind::Service, LeafKind::Secret] {
        bench.caught_up(kind, "main").await;
    }
    bench.desired.changes();
    let told = |what: &'static str| {
        let bench = &bench;
        eventually(what, move || async move {
            let mut changes = bench.desired.changes();
            changes.pop().ok_or("nothing was told")
        })
    };
    bench.meddle(LeafKind::Service, "main", json!({"metadata": {"ownerReferences": null}})).await;
    let change = told("the owner went").await;
    assert_eq!(
        (change.kind, &*change.name, change.owner),
        (LeafKind::Service, "main", Some(bench.owner.uid))
    );
    assert_eq!(change.producer.as_deref(), Some("al"));
    let state = bench.records.get(LeafKind::Service, &bench.namespace, "main").unwrap();
    assert_eq!((state.state, state.ours), (State::Unowned, true));

    bench.meddle(LeafKind::Secret, "main", json!({"metadata": {"labels": {"environment": null}}})).await;
    let change = told("the label went").await;
    assert_eq!((change.kind, change.owner), (LeafKind::Secret, Some(bench.owner.uid)));
    assert_eq!(bench.records.get(LeafKind::Secret, &bench.namespace, "main"), None);

    // One that was never ours is told by its labels.
    let mut stranger = bench.secret("stranger", "djE=").manifest.value();
    stranger["metadata"]["labels"]["producer"] = json!("bo");
    let api = bench.api(LeafKind::Secret);
    api.create(&PostParams::default(), &serde_json::from_value(stranger).unwrap()).await.unwrap();
    let change = told("a stranger came").await;
    assert_eq!(
        (change.owner, change.producer.as_deref(), change.environment.as_deref()),
        (None, Some("bo"), Some("dev"))
    );
    api.delete("stranger", &DeleteParams::default()).await.unwrap();
    let change = told("the stranger went").await;
    assert_eq!(&*change.name, "stranger");
}

#[tokio::test]
async fn credentials_are_known_without_owner_and_are_nobody_s_drift() {
    let bench = Bench::new().await;
    let mut leaf = bench.secret("credentials-al-dev", "djE=");
    leaf.manifest.edit(|manifest| manifest["metadata"]["labels"]["app"] = json!("credentials"));
    let (applied, data) = bench.cluster.create_secret_if_absent(&bench.records, &leaf).await.unwrap();
    assert_eq!(applied, Applied::Created);
    assert_eq!(data["file"].reveal(), "v1");
    let record = bench.records.get(LeafKind::Secret, &bench.namespace, "credentials-al-dev").unwrap();
    assert_eq!(record.state, State::Kept);
    // A second maker finds the first one's.
    let mut other = leaf;
    other.manifest.edit(|manifest| manifest["data"]["file"] = json!("djI="));
    let (applied, data) = bench.cluster.create_secret_if_absent(&bench.records, &other).await.unwrap();
    assert_eq!((applied, data["file"].reveal().as_str()), (Applied::Unchanged, "v1"));
    assert!(!format!("{data:?}").contains("v1"));
    let read = bench.cluster.read_secret(&bench.namespace, "credentials-al-dev").await.unwrap();
    assert_eq!(read, Some(data));
    bench.caught_up(LeafKind::Secret, "credentials-al-dev").await;
    assert!(bench.records.unowned().is_empty());
    assert!(bench.cluster.delete_secret(&bench.namespace, "credentials-al-dev").await.unwrap());
    assert!(!bench.cluster.delete_secret(&bench.namespace, "credentials-al-dev").await.unwrap());
    assert_eq!(bench.cluster.read_secret(&bench.namespace, "credentials-al-dev").await.unwrap(), None);
}

#[tokio::test]
async fn a_rollout_is_followed_to_its_end() {
    let shared = shared().await;
    let bench = Bench::new().await;
    bench.stand(&[bench.deployment("main")]).await;
    let rollout = || bench.records.get(LeafKind::Deployment, &bench.namespace, "main").unwrap().rollout;
    assert_eq!(rollout(), Rollout::Progressing { ready: 0, wanted: 1 });
    eventually_within("the deployment is rolled out", Duration::from_secs(60), || async {
        shared.make_pods_ready(&bench.namespace, "producer=al").await.map_err(|error| error.to_string())?;
        if rollout() == Rollout::Done { Ok(()) } else { Err(format!("{:?}", rollout())) }
    })
    .await;
    assert!(!bench.desired.changes().is_empty(), "a finished roll-out is told");
}

#[tokio::test]
async fn one_watch_serves_a_scope_however_often_it_is_asked_for() {
    let bench = Bench::new().await;
    let before = bench.cluster.requests().total();
    for kind in LeafKind::ALL {
        bench.records.watch(&bench.cluster, kind, &Scope::Namespace(bench.namespace.clone()));
    }
    bench.records.synced().await;
    assert_eq!(bench.cluster.requests().total(), before);
}

#[tokio::test]
async fn what_a_watch_waits_for_is_named() {
    let desired = Arc::new(Desired::default());
    let records = Records::new(desired);
    let shared = shared().await;
    // A user without any right.
    let target = lb_cluster::Target::Kubeconfig {
        path: shared.kubeconfig().to_owned(),
        context: Some("lunchbadger".into()),
    };
    let cluster = lb_cluster::Cluster::connect(&target, &lb_cluster::Options::default()).await.unwrap();
    records.watch(&cluster, LeafKind::Secret, &Scope::Namespace("default".into()));
    eventually("the refusal is named", || async {
        let waiting = records.waiting();
        if waiting.len() == 1 && waiting[0].starts_with("secrets: ") && waiting[0].contains("forbidden") {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn records_end_their_watches_when_they_are_dropped() {
    let bench = Bench::new().await;
    let desired = Arc::new(Desired::default());
    let records = Records::new(desired.clone());
    records.watch(&bench.cluster, LeafKind::Secret, &Scope::Namespace(bench.namespace.clone()));
    records.synced().await;
    let clone = records.clone();
    drop(records);
    assert_eq!(clone.len(), 0);
    drop(clone);
    eventually("nobody judges any more", || async {
        if Arc::strong_count(&desired) == 1 { Ok(()) } else { Err("the watch still runs") }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_followed_again_and_what_happened_meanwhile_is_told() {
    let own = TestCluster::start(Options::default()).await.unwrap();
    let cluster = crate::support::connect(own.kubeconfig()).await;
    cluster.apply_crds(&lb_desired::crd::all(), Duration::from_secs(60)).await.unwrap();
    let bench = Bench::on(&own).await;
    let leaves = bench.one_of_each();
    bench.stand(&leaves).await;
    let owned = bench.records.count(bench.owner.uid);
    own.stop_api_server().await;
    let error = bench.apply(&bench.service("other")).await.unwrap_err();
    assert_eq!(error.retry(), lb_cluster::Retry::Backoff, "{error}");
    assert_eq!(bench.records.count(bench.owner.uid), owned, "silence removes nothing");
    own.start_api_server().await;
    bench.meddle(LeafKind::Secret, "main", json!({"data": {"file": "djM="}})).await;
    bench.api(LeafKind::Service).delete("main", &DeleteParams::default()).await.unwrap();
    eventually("drift is seen", || async {
        let secret = bench.records.get(LeafKind::Secret, &bench.namespace, "main").map(|record| record.state);
        let service = bench.records.get(LeafKind::Service, &bench.namespace, "main");
        if secret == Some(State::Drifted) && service.is_none() {
            Ok(())
        } else {
            Err(format!("{secret:?} {service:?}"))
        }
    })
    .await;
    // The server forgot where the watches were (410): they listed again.
    let lists = own
        .audit()
        .iter()
        .filter(|event| {
            let uri = event["requestURI"].as_str().unwrap_or_default();
            uri.contains(&format!("/{}/secrets?", bench.namespace)) && uri.contains("sendInitialEvents=true")
        })
        .count();
    assert!(lists >= 2, "{lists}");
    for leaf in &leaves {
        bench.apply(leaf).await.unwrap();
    }
    assert_eq!(bench.records.count(bench.owner.uid), owned);
}
