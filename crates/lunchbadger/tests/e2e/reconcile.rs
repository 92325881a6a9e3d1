//! A request to reconcile: handled when everything was looked at, also where nothing changed, and written down once.

use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use lb_desired::crd::{LBProducer, RECONCILE_REQUESTED_AT};
use serde_json::json;

use crate::project::standing;
use crate::world::World;

/// Another producer's push, made later and applied, shows that whatever was to be done before was done.
async fn witness(world: &World) {
    standing(world, "wi").await;
}

fn asked(resource: &LBProducer) -> Option<String> {
    resource.annotations().get(RECONCILE_REQUESTED_AT).cloned()
}

fn handled(resource: &LBProducer) -> Option<String> {
    resource.status.as_ref()?.last_handled_reconcile_at.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_handled_where_nothing_changed() {
    let world = crate::shared().await;
    let producer = standing(&world, "rq").await;
    let name = &producer.name;
    let commit = producer.dev.run(&["rev-parse", "HEAD"]).await;
    let told = world.ok(&["reconcile", name]).await;
    assert!(told.contains(&format!("dev: {} is applied", &commit[..10])), "{told}");
    let (objects, first) = (world.versions(name).await, world.resource(name).await.expect("it stands"));
    world.ok(&["reconcile", name]).await;
    let second = world.resource(name).await.expect("it stands");
    assert!(handled(&second).is_some() && handled(&second) != handled(&first));
    assert_eq!(handled(&second), asked(&second));
    assert_eq!(world.versions(name).await, objects);
    let mut without = second.status.clone().unwrap_or_default();
    without.last_handled_reconcile_at = handled(&first);
    assert_eq!(Some(without), first.status, "the request is all that is written");
    witness(&world).await;
    let later = world.resource(name).await.expect("it stands");
    assert_eq!(later.resource_version(), second.resource_version(), "it is written once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drifted_is_put_back_when_the_request_is_handled() {
    let world = crate::shared().await;
    let producer = standing(&world, "rd").await;
    let name = &producer.name;
    let object = format!("gateway-{name}-dev-main");
    for kind in ["Service", "Deployment", "Ingress", "ServiceAccount"] {
        let api = world.api(kind).await;
        let before = api.get(&object).await.expect("it stands").uid();
        api.delete(&object, &DeleteParams::background()).await.expect("delete it");
        world.ok(&["reconcile", name]).await;
        let after = api.get_opt(&object).await.expect("read it").and_then(|object| object.uid());
        assert!(after.is_some() && after != before, "{kind}: {after:?}");
    }
}

/// What is in the way is somebody else's and not watched, so that nobody tells that it is gone: the child would wait
/// longer and longer before it tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_does_not_wait_for_the_next_try() {
    let world = crate::shared().await;
    let producer = standing(&world, "rw").await;
    let name = &producer.name;
    let (services, service) = (world.api("Service").await, format!("gateway-{name}-dev-main"));
    world.ok(&["producers", "suspend", name]).await;
    world.condition(name, "Suspended", "True").await;
    services.delete(&service, &DeleteParams::background()).await.expect("delete the Service");
    let foreign = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": service}, "spec": {"ports": [{"port": 1}]},
    });
    let foreign = serde_json::from_value(foreign).expect("a Service");
    services.create(&PostParams::default(), &foreign).await.expect("put another in its place");
    world.ok(&["producers", "resume", name]).await;
    for _ in 0..5 {
        let refused = world.run(&["reconcile", name]).await;
        let told = String::from_utf8_lossy(&refused.stdout).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(told.contains("is not applied"), "{told}");
    }
    services.delete(&service, &DeleteParams::background()).await.expect("take it away again");
    world.ok(&["reconcile", name]).await;
    let back = services.get_opt(&service).await.expect("read it").expect("it is put back");
    assert_eq!(back.labels().get("producer"), Some(name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_an_actualizer_and_is_not_handled_twice() {
    let world = World::start(&[]).await;
    let producer = standing(&world, "rs").await;
    let name = &producer.name;
    world.kill().await;
    let late = world.run(&["reconcile", name, "--timeout=1"]).await;
    let told = String::from_utf8_lossy(&late.stderr).into_owned();
    assert_eq!(late.status.code(), Some(2), "{late:?}");
    assert!(told.contains("has not handled the request after 1 s"), "{told}");
    world.resume().await;
    lb_testkit::eventually("the request is handled", || async {
        let resource = world.resource(name).await.ok_or("no LBProducer")?;
        if asked(&resource).is_some() && asked(&resource) == handled(&resource) {
            Ok(())
        } else {
            Err(format!("{:#?}\n{}", resource.status, world.log().await))
        }
    })
    .await;
    let (resource, objects) = (world.resource(name).await, world.versions(name).await);
    world.kill().await;
    world.resume().await;
    witness(&world).await;
    let version = |resource: Option<LBProducer>| resource.and_then(|resource| resource.resource_version());
    assert_eq!(version(world.resource(name).await), version(resource));
    assert_eq!(world.versions(name).await, objects);
}
