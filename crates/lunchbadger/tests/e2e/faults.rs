//! Unknown is not empty: services that fail, lie or lose things remove nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;

use crate::project::{Gateway, file, push, standing};
use crate::proxy::Fault;
use crate::world::{NAMESPACE, Producer, World, changed};

/// The namespace controller takes its time.
const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_renamed_master_holds_what_stands() {
    let world = World::start(&[]).await;
    let producer = standing(&world, "mm").await;
    let before = world.versions(&producer.name).await;
    // The embedded host refuses this to its users; another git host does not.
    let refused = producer.dev.push_to(":refs/heads/master").await;
    assert!(!refused.accepted, "{}", refused.output);
    let bare = world.repository(&producer.name, "dev");
    let git = lb_testkit::git::Git::new();
    world.kill().await;
    git.run(&bare, &["branch", "--move", "master", "main"]).await;
    world.resume().await;
    let (reason, message) = world.condition(&producer.name, "Applied", "False").await;
    assert_eq!(reason, "Held");
    assert!(message.contains("refs/heads/master"), "{message}");
    assert_eq!(world.versions(&producer.name).await, before);
    let back = producer.dev.push().await;
    assert!(back.accepted, "{}", back.output);
    world.applied(&producer).await;
    assert_eq!(world.versions(&producer.name).await.len(), before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_fail_or_lie_remove_nothing() {
    let (world, [git_api, configstore]) = World::start_apart(&[("PRODUCER_GRACE", "500")]).await;
    let (one, two) = (standing(&world, "fa").await, standing(&world, "ul").await);
    let all = async || [world.versions(&one.name).await, world.versions(&two.name).await];
    let before = all().await;
    for fault in [Fault::Down, Fault::Html, Fault::Half, Fault::Empty] {
        git_api.set(fault);
        configstore.set(fault);
        world.upstream(true).await;
        assert_eq!(all().await, before, "{fault:?}");
        git_api.set(Fault::None);
        configstore.set(Fault::None);
        world.upstream(false).await;
        assert_eq!(all().await, before, "after {fault:?}");
    }
    configstore.set(Fault::OneLess);
    short_list_noticed(&world).await;
    assert_eq!(all().await, before);

    // Started while nothing answers: what stands stays, drift is put back, and /ready says what is waited for.
    git_api.set(Fault::Down);
    configstore.set(Fault::Down);
    world.kill().await;
    world.launch().await;
    let service = format!("gateway-{}-dev-main", one.name);
    world.api("Service").await.delete(&service, &Default::default()).await.expect("delete a Service");
    lb_testkit::eventually("the Service is back", || async {
        let uid = world.object("Service", &service).await.map(|object| object["metadata"]["uid"].clone());
        let old = &before[0][&format!("Service/{service}")].0;
        if uid.as_ref().is_some_and(|uid| uid != old.as_str()) { Ok(()) } else { Err(format!("{uid:?}")) }
    })
    .await;
    let after = all().await;
    assert_eq!(changed(&before[0], &after[0]), [format!("Service/{service}")]);
    assert_eq!(after[1], before[1]);
    let ready = reqwest::get(format!("{}/ready", world.actualizer)).await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 503);
    assert!(ready.text().await.expect("a body").contains("git-api"));
    git_api.set(Fault::None);
    configstore.set(Fault::None);
    world.applied(&one).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_and_changes_nothing() {
    let (world, _) = World::start_apart(&[("LEASE_DURATION", "3000")]).await;
    let producer = standing(&world, "le").await;
    let before = world.versions(&producer.name).await;
    world.kill_last().await;
    world.launch_actualizer().await;
    push(&producer, &[Gateway::new("g1", "main", &["/b"])]).await;
    world.applied(&producer).await;
    let touched = changed(&before, &world.versions(&producer.name).await);
    assert!(touched.iter().all(|key| key.contains("-dev-main")), "{touched:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_stopped_for_longer_than_its_lease_puts_nothing_back() {
    let (world, _) = World::start_apart(&[("LEASE_DURATION", "2000")]).await;
    let producer = standing(&world, "st").await;
    let leader = world.launch_standby().await;
    // In the middle of its work.
    push(&producer, &[Gateway::new("g1", "main", &["/b"])]).await;
    world.signal(leader, "STOP").await;
    push(&producer, &[Gateway::new("g1", "main", &["/c"])]).await;
    world.applied(&producer).await;
    let before = world.versions(&producer.name).await;
    world.signal(leader, "CONT").await;
    world.ended(leader).await;
    assert!(world.whole_log().contains("leadership was lost"), "{}", world.whole_log());
    assert_eq!(world.versions(&producer.name).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_lost_are_not_made_anew() {
    let world = crate::shared().await;
    let producer = standing(&world, "cr").await;
    let secret = format!("credentials-{}-dev", producer.name);
    let api = world.api("Secret").await;
    let saved = api.get(&secret).await.expect("credentials");
    api.delete(&secret, &Default::default()).await.expect("delete them");
    // A push makes the producer look; it must not mint.
    producer.dev.write("README.md", "x");
    producer.dev.commit_and_push("Look").await;
    let (reason, message) = world.condition(&producer.name, "Stalled", "True").await;
    assert_eq!(reason, "CredentialsLost");
    assert!(message.contains(&secret), "{message}");
    assert!(world.object("Secret", &secret).await.is_none());
    let restored = restored(serde_json::to_value(&saved).expect("JSON"));
    let restored = serde_json::from_value(restored).expect("an object");
    api.create(&Default::default(), &restored).await.expect("restore them");
    world.condition(&producer.name, "Stalled", "False").await;
    world.applied(&producer).await;
}

/// With the namespace everything in it goes, credentials too. What holds it back meanwhile is somebody else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_terminates_is_waited_for_and_credentials_are_not_made_anew() {
    let world = World::start(&[]).await;
    let producer = standing(&world, "te").await;
    let secret = format!("credentials-{}-dev", producer.name);
    let saved = world.object("Secret", &secret).await.expect("credentials");
    let kept = saved["data"].clone();
    let holding = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "holding", "finalizers": ["example.com/wait"]},
    });
    world.create("ConfigMap", &holding).await;
    let deleted = world.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).await;
    assert!(deleted.status.success(), "{deleted:?}");
    lb_testkit::eventually_within("all of it is gone", PATIENCE, || async {
        let left = world.versions(&producer.name).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    let let_go = ["-n", NAMESPACE, "patch", "configmap", "holding", "--type=merge", "-p", patch];
    assert!(world.cluster.kubectl(&let_go).await.status.success());
    lb_testkit::eventually_within("the namespace is made anew", PATIENCE, || async {
        let made = world.cluster.kubectl(&["create", "namespace", NAMESPACE]).await;
        if made.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&made.stderr).into_owned()) }
    })
    .await;
    // The Actualizer's rights went with the namespace; a push makes the producer look.
    world.restore_rights().await;
    push(&producer, &[Gateway::new("g1", "main", &["/b"])]).await;
    let (reason, _) = world.condition(&producer.name, "Stalled", "True").await;
    assert_eq!(reason, "CredentialsLost");
    assert!(world.versions(&producer.name).await.is_empty(), "nothing is made without credentials");
    world.create("Secret", &restored(saved)).await;
    world.applied(&producer).await;
    let data = world.object("Secret", &secret).await.expect("credentials")["data"].clone();
    assert_eq!(data, kept);
}

/// Gateways cannot be read then: they are in no store, and that is no reason to remove what they own.
#[tokio::test(flavor = "multi_thread")]
async fn crds_of_another_version_remove_nothing() {
    let world = World::start(&[]).await;
    let producer = standing(&world, "ov").await;
    // Without types: the test cannot read gateways either.
    let uids = async || -> BTreeMap<String, Option<String>> {
        let mut uids = BTreeMap::new();
        for kind in [
            "LBWorkspace",
            "LBGateway",
            "Deployment",
            "Service",
            "Ingress",
            "NetworkPolicy",
            "ServiceAccount",
        ] {
            let of = ListParams::default().labels(&format!("producer={}", producer.name));
            for object in world.api(kind).await.list(&of).await.expect("list") {
                uids.insert(format!("{kind}/{}", object.name_any()), object.uid());
            }
        }
        uids
    };
    let before = uids().await;
    world.kill().await;
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let older = json!([
        {"op": "remove", "path": format!("{spec}/properties/config")},
        {"op": "replace", "path": format!("{spec}/required"), "value": ["producer"]},
        {"op": "remove", "path": format!("{spec}/x-kubernetes-validations")},
    ]);
    let patch = ["patch", "crd", "lbgateways.lunchbadger.io", "--type=json", "-p", &older.to_string()];
    let patched = world.cluster.kubectl(&patch).await;
    assert!(patched.status.success(), "{patched:?}");
    world.launch().await;
    producer
        .dev
        .write("lunchbadger.json", file(&producer.name, &[Gateway::new("g1", "main", &["/b"])], false));
    lb_testkit::eventually("git-api answers", || async {
        reqwest::get(format!("{}/live", world.git_api)).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    producer.dev.commit_and_push("Change the project").await;
    world.condition(&producer.name, "Applied", "False").await;
    world.producer("ow").await;
    assert_eq!(uids().await, before);
    world.ok(&["crds", "apply"]).await;
    world.kill().await;
    world.resume().await;
    world.applied(&producer).await;
    assert_eq!(uids().await, before);
}

/// An object as it can be created again.
fn restored(mut saved: serde_json::Value) -> serde_json::Value {
    for own in ["resourceVersion", "uid", "creationTimestamp", "managedFields"] {
        saved["metadata"].as_object_mut().expect("metadata").remove(own);
    }
    saved
}

#[tokio::test(flavor = "multi_thread")]
async fn two_404s_and_the_grace_withdraw_and_the_return_enables() {
    let world = World::start(&[("PRODUCER_GRACE", "2000")]).await;
    let (user, repository) = (standing(&world, "wd").await, standing(&world, "wr").await);
    let other = standing(&world, "ot").await;
    let untouched = world.versions(&other.name).await;
    let of =
        |producer: &Producer| world.data.path().join("git/users").join(format!("customer-{}", producer.name));
    // One loses its git user, the other one of its two repositories.
    let lost = [(&user, of(&user)), (&repository, of(&repository).join("repos/functions"))];
    world.kill().await;
    let aside = |producer: &Producer| world.data.path().join(format!("aside-{}", producer.name));
    for (producer, directory) in &lost {
        assert!(directory.is_dir(), "the embedded host keeps {} here", directory.display());
        std::fs::rename(directory, aside(producer)).expect("take it away");
    }
    world.resume().await;
    for (producer, _) in &lost {
        world.condition(&producer.name, "Missing", "True").await;
        world.condition(&producer.name, "Withdrawn", "True").await;
        lb_testkit::eventually("its objects are gone", || async {
            let left = world.versions(&producer.name).await;
            if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }
    assert_eq!(world.versions(&other.name).await, untouched);
    world.kill().await;
    for (producer, directory) in &lost {
        std::fs::rename(aside(producer), directory).expect("bring it back");
    }
    world.resume().await;
    for (producer, _) in &lost {
        world.condition(&producer.name, "Withdrawn", "False").await;
        world.applied(producer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_99_of_100_producers_withdraws_nobody() {
    let (world, [_, configstore]) = World::start_apart(&[("PRODUCER_GRACE", "500")]).await;
    let names: Vec<String> = (0..100).map(|n| format!("l{n:03}")).collect();
    world.create_all(&names).await;
    // Versions of Deployments still move: their controllers have a hundred to see to.
    let uids = async || -> Vec<(String, String)> {
        let all = world.versions_in(NAMESPACE, "producer").await;
        all.into_iter().map(|(object, (uid, _))| (object, uid)).collect()
    };
    let before = uids().await;
    configstore.set(Fault::OneLess);
    short_list_noticed(&world).await;
    // Until the list is whole again, and was read after it, there was time for the grace to be over.
    let lists = || configstore.seen().iter().filter(|request| *request == "GET /producers").count();
    let noticed = lists();
    lb_testkit::eventually("the list was read three times more", || async {
        let now = lists();
        if now >= noticed + 3 { Ok(()) } else { Err(format!("{now} times")) }
    })
    .await;
    configstore.set(Fault::None);
    world.upstream(false).await;
    assert_eq!(uids().await, before);
    for name in &names {
        let status = world.resource(name).await.and_then(|resource| resource.status).expect("a status");
        assert_eq!(status.missing_since, None, "{name}");
    }
}

/// Waits until it is written down that the configstore's list has not what it should have.
async fn short_list_noticed(world: &World) {
    lb_testkit::eventually("a list that lacks one is noticed", || async {
        let map = world
            .cluster
            .kubectl(&["get", "configmap", "lunchbadger-status", "-o", "jsonpath={.data}"])
            .await;
        let text = String::from_utf8_lossy(&map.stdout).into_owned();
        if text.contains("failing since") && text.contains("announced") { Ok(()) } else { Err(text) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_stops_a_mass_withdrawal_and_goes_on_with_its_digest_only() {
    let world = World::start(&[("PRODUCER_GRACE", "500")]).await;
    let mut producers = Vec::new();
    for _ in 0..8 {
        producers.push(standing(&world, "br").await);
    }
    world.kill().await;
    let users = world.data.path().join("git").join("users");
    for producer in &producers {
        let user = users.join(format!("customer-{}", producer.name));
        std::fs::remove_dir_all(user).expect("take the git user away");
    }
    world.resume().await;
    let digest = lb_testkit::eventually("the brake holds what is too much", || async {
        let map = world.cluster.kubectl(&["get", "configmap", "lunchbadger-brake", "-o", "json"]).await;
        let map: serde_json::Value =
            serde_json::from_slice(&map.stdout).map_err(|error| error.to_string())?;
        let held = map["data"]["held"].as_str().unwrap_or_default().lines().count();
        if held == 6 {
            Ok(map["data"]["digest"].as_str().unwrap_or_default().to_owned())
        } else {
            Err(map.to_string())
        }
    })
    .await;
    let left = async || {
        let mut left = 0;
        for producer in &producers {
            left += usize::from(world.versions(&producer.name).await.len() > 1);
        }
        left
    };
    lb_testkit::eventually("as many are gone as 50 objects allow", || async {
        let left = left().await;
        if left == 6 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
    let wrong = world.run(&["brake", "release", "0000000000000000"]).await;
    assert!(!wrong.status.success(), "{wrong:?}");
    let shown = world.run(&["brake", "show"]).await;
    assert_eq!(shown.status.code(), Some(1), "there is something to report: {shown:?}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains(&digest), "{shown:?}");
    world.ok(&["brake", "release", &digest]).await;
    lb_testkit::eventually_within("the rest is gone", std::time::Duration::from_secs(60), || async {
        let left = left().await;
        if left == 0 { Ok(()) } else { Err(format!("{left} are left\n{}", world.log().await)) }
    })
    .await;
}
