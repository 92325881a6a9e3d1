//! One leader at a time, whatever the clocks and the API server do.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use lb_cluster::{ApiError, Cluster, Election, Leadership, LeaseSettings};
use lb_testkit::clock::ManualClock;
use lb_testkit::{eventually, eventually_within};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{connect, shared};

struct Replica {
    cluster: Cluster,
    leadership: Leadership,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn replica(namespace: &str, holder: &str, clock: &ManualClock) -> Replica {
    let cluster = connect(shared().await.kubeconfig()).await;
    // Looks often, so that the clock alone decides.
    let settings = LeaseSettings {
        retry: Duration::from_millis(50),
        ..LeaseSettings::new(namespace, "lunchbadger", holder)
    };
    let (election, leadership) = Election::new(&cluster, settings, clock.clock());
    cluster.guard(leadership.clone());
    let stop = CancellationToken::new();
    let running = tokio::spawn(election.run(stop.clone()));
    Replica { cluster, leadership, stop, running }
}

async fn lease(cluster: &Cluster, namespace: &str) -> Lease {
    Api::<Lease>::namespaced(cluster.client().clone(), namespace).get("lunchbadger").await.unwrap()
}

/// Waits until a standby has looked at the lease so often that it must have noticed whatever there was.
async fn looked(replica: &Replica, namespace: &str) {
    let agent = || {
        let log = lb_testkit::cluster::TestCluster::shared();
        async move {
            log.await
                .audit()
                .iter()
                .filter(|event| event["objectRef"]["resource"] == "leases")
                .filter(|event| event["objectRef"]["namespace"] == namespace)
                .filter(|event| event["verb"] == "get")
                .count()
        }
    };
    let before = agent().await;
    assert!(!replica.leadership.is_leader());
    eventually("the standby looks", || async {
        let now = agent().await;
        if now >= before + 3 { Ok(()) } else { Err(format!("{before} {now}")) }
    })
    .await;
}

#[tokio::test]
async fn the_second_waits_and_takes_over_at_once_when_the_first_leaves() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut first = replica(&namespace, "first", &clock).await;
    first.leadership.acquired().await;
    let mut second = replica(&namespace, "second", &clock).await;
    looked(&second, &namespace).await;
    let data = [("a".to_owned(), "b".to_owned())].into();
    let refused = second.cluster.write_config(&namespace, "c", &data, None).await.unwrap_err();
    assert!(matches!(refused, ApiError::NotLeading { .. }), "{refused}");
    assert_eq!(second.cluster.requests().writes(), 0, "nothing was sent");
    assert_eq!(second.cluster.read_config(&namespace, "c").await.unwrap(), None, "reads are for everybody");
    first.cluster.write_config(&namespace, "c", &data, None).await.unwrap();

    first.stop.cancel();
    first.running.await.unwrap();
    assert!(!first.leadership.is_leader());
    second.leadership.acquired().await;
    let refused = first.cluster.write_config(&namespace, "d", &data, None).await.unwrap_err();
    assert!(matches!(refused, ApiError::NotLeading { .. }), "{refused}");
    let spec = lease(&second.cluster, &namespace).await.spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("second"), Some(1)));
    second.stop.cancel();
    second.running.await.unwrap();
}

#[tokio::test]
async fn a_leader_that_is_gone_is_replaced_when_its_time_is_over_and_not_before() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut first = replica(&namespace, "first", &clock).await;
    first.leadership.acquired().await;
    first.running.abort();
    let mut second = replica(&namespace, "second", &clock).await;
    looked(&second, &namespace).await;
    // The first is paused: it stops by the clock alone, before anybody may take over.
    clock.advance(Duration::from_millis(9_999));
    assert!(first.leadership.is_leader());
    clock.advance(Duration::from_millis(1));
    assert!(!first.leadership.is_leader(), "its own term is over");
    looked(&second, &namespace).await;
    clock.advance(Duration::from_secs(6));
    eventually("the second takes over", || async {
        if second.leadership.is_leader() { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert!(!first.leadership.is_leader());
    second.leadership.acquired().await;
    second.stop.cancel();
    second.running.await.unwrap();
}

#[tokio::test]
async fn a_leader_renews_and_stays_while_time_passes() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut first = replica(&namespace, "first", &clock).await;
    first.leadership.acquired().await;
    let second = replica(&namespace, "second", &clock).await;
    for _ in 0..5 {
        let before = lease(&first.cluster, &namespace).await.metadata.resource_version;
        clock.advance(Duration::from_secs(4));
        eventually("it is renewed at the new time", || async {
            let now = lease(&first.cluster, &namespace).await;
            let renewed = now.spec.and_then(|spec| spec.renew_time).map(|time| time.0.as_millisecond());
            let millis = i64::try_from(clock.clock().now().0).unwrap();
            if now.metadata.resource_version != before && renewed == Some(millis) {
                Ok(())
            } else {
                Err("not yet")
            }
        })
        .await;
        assert!(first.leadership.is_leader() && !second.leadership.is_leader());
    }
    first.stop.cancel();
    second.stop.cancel();
}

#[tokio::test]
async fn of_many_one_leads() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut replicas = Vec::new();
    for n in 0..4 {
        replicas.push(replica(&namespace, &format!("replica-{n}"), &clock).await);
    }
    let leading = |replicas: &[Replica]| replicas.iter().filter(|r| r.leadership.is_leader()).count();
    eventually("somebody leads", || async { if leading(&replicas) > 0 { Ok(()) } else { Err("nobody") } })
        .await;
    while let Some(at) = replicas.iter().position(|r| r.leadership.is_leader()) {
        assert_eq!(leading(&replicas), 1);
        let leader = replicas.remove(at);
        leader.stop.cancel();
        leader.running.await.unwrap();
        if replicas.is_empty() {
            break;
        }
        eventually_within("the next one leads", Duration::from_secs(30), || async {
            if leading(&replicas) == 1 { Ok(()) } else { Err("nobody") }
        })
        .await;
    }
    assert!(replicas.is_empty());
}

#[tokio::test]
async fn a_lease_that_somebody_takes_by_force_is_lost_at_once() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut first = replica(&namespace, "first", &clock).await;
    first.leadership.acquired().await;
    let leases: Api<Lease> = Api::namespaced(shared().await.client().await, &namespace);
    let change = serde_json::json!({"spec": {"holderIdentity": "operator"}});
    leases
        .patch("lunchbadger", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(&change))
        .await
        .unwrap();
    first.leadership.lost().await;
    assert!(!first.leadership.is_leader());
    assert_eq!(
        lease(&first.cluster, &namespace).await.spec.unwrap().holder_identity.as_deref(),
        Some("operator")
    );
    first.stop.cancel();
}

#[tokio::test]
async fn a_leader_whose_lease_was_touched_leads_on() {
    let namespace = shared().await.namespace("lease").await;
    let clock = ManualClock::default();
    let mut first = replica(&namespace, "first", &clock).await;
    first.leadership.acquired().await;
    let leases: Api<Lease> = Api::namespaced(shared().await.client().await, &namespace);
    let change = serde_json::json!({"metadata": {"annotations": {"note": "mine"}}});
    let parameters = kube::api::PatchParams::default();
    let touched = leases.patch("lunchbadger", &parameters, &kube::api::Patch::Merge(&change)).await.unwrap();
    clock.advance(Duration::from_secs(8));
    eventually("it is renewed all the same", || async {
        let now = lease(&first.cluster, &namespace).await;
        let millis = i64::try_from(clock.clock().now().0).unwrap();
        let renewed = now.spec.and_then(|spec| spec.renew_time).map(|time| time.0.as_millisecond());
        if renewed == Some(millis) { Ok(()) } else { Err("not yet") }
    })
    .await;
    assert!(first.leadership.is_leader());
    let now = lease(&first.cluster, &namespace).await;
    assert_eq!(now.metadata.annotations, touched.metadata.annotations);
    assert_eq!(now.spec.unwrap().lease_transitions, Some(0));
    first.stop.cancel();
}
