//! A namespace for each producer: `ACTUALIZER_TARGET_NAMESPACE=customer-$PRODUCER`.

use std::sync::Arc;
use std::time::Duration;

use kube::api::DeleteParams;
use lb_desired::crd::TARGET_ROLE;
use lb_testkit::{eventually, eventually_within, unique};
use serde_json::Value;

use crate::project::{Gateway, push, standing};
use crate::world::{DRIFT, NAMESPACE, World, changed};

async fn start() -> Arc<World> {
    World::start(&[("ACTUALIZER_TARGET_NAMESPACE", "customer-$PRODUCER")]).await
}

async fn kubectl(world: &World, arguments: &[&str]) {
    let output = world.cluster.kubectl(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Who may do what in a producer's namespace.
async fn binding(world: &World, producer: &str) -> Option<Value> {
    let api = world.api_in(&world.namespace(producer), "RoleBinding").await;
    let found = api.get_opt(TARGET_ROLE).await.expect("read a RoleBinding");
    found.map(|binding| serde_json::to_value(binding).expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_producer_has_a_namespace_of_its_own() {
    let world = start().await;
    let (one, two) = (standing(&world, "to").await, standing(&world, "tt").await);
    let (name, namespace) = (one.name.clone(), world.namespace(&one.name));
    assert!(binding(&world, &name).await.is_some());
    let before = world.versions(&name).await;
    for object in [
        format!("Deployment/workspace-{name}-dev"),
        format!("Deployment/gateway-{name}-dev-main"),
        format!("Secret/credentials-{name}-dev"),
        format!("LBGateway/{name}-dev-main"),
    ] {
        assert!(before.contains_key(&object), "{object} is missing: {before:#?}");
    }
    assert!(world.versions_in(NAMESPACE, "producer").await.is_empty());

    world.kill().await;
    world.resume().await;
    // Somebody else's push that is applied after the restart: by then everything was looked at.
    push(&two, &[Gateway::new("g1", "main", &["/b"])]).await;
    world.applied(&two).await;
    assert_eq!(world.versions(&name).await, before, "a restart writes nothing");

    // Secrets are watched there.
    let (config, (uid, _)) = before
        .iter()
        .find(|(key, _)| key.starts_with(&format!("Secret/gateway-{name}")))
        .expect("a configuration");
    let secrets = world.api_in(&namespace, "Secret").await;
    let config_name = config.trim_start_matches("Secret/");
    secrets.delete(config_name, &DeleteParams::default()).await.expect("delete the configuration");
    eventually_within("the configuration is put back", DRIFT, || async {
        let now = world.versions(&name).await;
        if now.get(config).is_some_and(|(new, _)| new != uid) { Ok(()) } else { Err(format!("{now:#?}")) }
    })
    .await;
    let mut touched = changed(&before, &world.versions(&name).await);
    // The child's status may have said that the Secret was missing.
    touched.retain(|key| *key != format!("LBGateway/{name}-dev-main"));
    assert_eq!(touched, std::slice::from_ref(config));

    world.ok(&["producers", "disable", &name]).await;
    eventually("only credentials are left", || async {
        let left = world.versions(&name).await;
        if left.len() == 1 { Ok(()) } else { Err(format!("{left:#?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_was_not_made_for_the_producer_is_not_used() {
    let world = start().await;
    let name = unique("tf");
    let namespace = world.namespace(&name);
    kubectl(&world, &["create", "namespace", &namespace]).await;
    world.ok(&["producers", "create", &name]).await;
    let (reason, message) = world.condition(&name, "Stalled", "True").await;
    assert_eq!(reason, "ForeignNamespace");
    assert!(message.contains(&namespace) && message.contains(&format!("producer={name}")), "{message}");
    // It stops nobody else, not even at a start.
    world.kill().await;
    world.resume().await;
    standing(&world, "tn").await;
    assert_eq!(binding(&world, &name).await, None);
    assert!(world.versions(&name).await.is_empty());
    kubectl(&world, &["label", "namespace", &namespace, &format!("producer={name}")]).await;
    world.condition(&name, "Applied", "True").await;
    assert!(binding(&world, &name).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_that_cannot_be_made_is_made_later() {
    let world = start().await;
    let name = unique("tb");
    let namespace = world.namespace(&name);
    kubectl(&world, &["create", "namespace", &namespace]).await;
    kubectl(&world, &["label", "namespace", &namespace, &format!("producer={name}")]).await;
    // A binding of another role: Kubernetes lets nobody change which role it is.
    let role =
        ["create", "rolebinding", TARGET_ROLE, "--clusterrole=view", "--user=somebody", "-n", &namespace];
    kubectl(&world, &role).await;
    world.ok(&["producers", "create", &name]).await;
    let (reason, message) = world.condition(&name, "Applied", "False").await;
    assert_eq!(reason, "Held");
    assert!(message.contains("RoleBinding"), "{message}");
    kubectl(&world, &["delete", "rolebinding", TARGET_ROLE, "-n", &namespace]).await;
    eventually_within("the binding is made", Duration::from_secs(60), || async {
        binding(&world, &name).await.map(drop).ok_or("there is none")
    })
    .await;
    world.condition(&name, "Applied", "True").await;
    let bound = binding(&world, &name).await.expect("a binding");
    assert_eq!(bound["roleRef"]["name"], TARGET_ROLE);
}
