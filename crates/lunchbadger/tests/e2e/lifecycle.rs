//! A producer's life: pushed, edited, disabled, enabled, suspended, purged; the neighbour notices nothing.

use serde_json::json;

use crate::project::{Gateway, file, push, standing};
use crate::world::{World, changed, example, names};

async fn credentials(world: &World, name: &str) -> serde_json::Value {
    let secret = world.object("Secret", &format!("credentials-{name}-dev")).await.expect("credentials");
    json!({"uid": secret["metadata"]["uid"], "data": secret["data"]})
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_applied_as_it_is_pushed() {
    let world = crate::shared().await;
    let producer = world.producer("ex").await;
    producer.dev.copy_from(&example("dev"));
    let text = producer.dev.read("lunchbadger.json").replace("al-dev", &format!("{}-dev", producer.name));
    producer.dev.write("lunchbadger.json", text);
    producer.functions.copy_from(&example("functions"));
    let yaml = producer
        .functions
        .read("hello/serverless.yml")
        .replace("fn-al-dev", &format!("fn-{}-dev", producer.name));
    producer.functions.write("hello/serverless.yml", yaml);
    producer.functions.commit_and_push("The function").await;
    let (_, remote) = producer.dev.commit_and_push("The project").await;
    assert!(remote.iter().any(|line| line.contains("+ gateway main")), "{remote:?}");
    world.applied(&producer).await;
    let name = &producer.name;
    let function = world.object("LBFunction", &format!("{name}-dev-hello")).await.expect("a function");
    assert!(function["status"]["conditions"].to_string().contains("that runs functions"), "{function}");
    let versions = world.versions(name).await;
    for object in [
        format!("Deployment/workspace-{name}-dev"),
        format!("Deployment/sls-api-{name}-dev"),
        format!("Deployment/gateway-{name}-dev-main"),
        format!("Service/gateway-{name}-dev-main"),
        format!("Ingress/gateway-{name}-dev-main"),
        format!("NetworkPolicy/gateway-{name}-dev-main"),
        format!("ServiceAccount/gateway-{name}-dev-main"),
        format!("Secret/credentials-{name}-dev"),
        format!("LBFunction/{name}-dev-hello"),
    ] {
        assert!(versions.contains_key(&object), "{object} is missing: {:?}", names(&versions));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_what_a_push_changes_is_changed() {
    let world = crate::shared().await;
    let (producer, neighbour) = (world.producer("ed").await, world.producer("ne").await);
    let name = producer.name.clone();
    push(&neighbour, &[Gateway::new("n1", "main", &["/n"])]).await;
    world.applied(&neighbour).await;
    let untouched = world.versions(&neighbour.name).await;
    let (main, edge) = (Gateway::new("g1", "main", &["/cars"]), Gateway::new("g2", "edge", &["/edge"]));
    push(&producer, &[main.clone(), edge.clone()]).await;
    world.applied(&producer).await;
    let before = world.versions(&name).await;
    let secret = credentials(&world, &name).await;

    // Edit: the gateway's configuration, the child that names it, the Deployment that mounts it.
    let edited = Gateway::new("g1", "main", &["/cars", "/trucks"]);
    let remote = push(&producer, &[edited.clone(), edge.clone()]).await;
    assert!(remote.iter().any(|line| line.contains("gateway main: + route /trucks")), "{remote:?}");
    world.applied(&producer).await;
    let after = world.versions(&name).await;
    let of_main = |key: &String| key.contains(&format!("{name}-dev-main"));
    let touched = changed(&before, &after);
    assert!(touched.iter().all(of_main), "{touched:?}");
    assert!(touched.contains(&format!("Deployment/gateway-{name}-dev-main")), "{touched:?}");
    for steady in ["Service", "Ingress", "ServiceAccount", "NetworkPolicy"] {
        assert!(!touched.contains(&format!("{steady}/gateway-{name}-dev-main")), "{touched:?}");
    }

    // Add.
    push(&producer, &[edited.clone(), edge.clone(), Gateway::new("g3", "third", &["/3"])]).await;
    world.applied(&producer).await;
    let with_third = world.versions(&name).await;
    let touched = changed(&after, &with_third);
    assert!(touched.iter().all(|key| key.contains(&format!("{name}-dev-third"))), "{touched:?}");

    // Remove.
    push(&producer, &[edited.clone(), edge.clone()]).await;
    world.applied(&producer).await;
    let without = world.versions(&name).await;
    assert!(!names(&without).iter().any(|key| key.contains("third")), "{:?}", names(&without));
    let touched = changed(&with_third, &without);
    assert!(touched.iter().all(|key| key.contains("third")), "{touched:?}");

    // Rename: another instance, the same credentials.
    push(&producer, &[Gateway { name: "front".into(), ..edited }, edge]).await;
    world.applied(&producer).await;
    let renamed = world.versions(&name).await;
    assert!(renamed.contains_key(&format!("Deployment/gateway-{name}-dev-front")));
    assert!(
        !names(&renamed).iter().any(|key| key.contains(&format!("{name}-dev-main"))),
        "{:?}",
        names(&renamed)
    );
    assert_eq!(credentials(&world, &name).await, secret);
    assert_eq!(world.versions(&neighbour.name).await, untouched);
}

/// Waits until only credentials are left.
async fn only_credentials(world: &World, name: &str) {
    lb_testkit::eventually(&format!("only credentials of {name} are left"), || async {
        let versions = world.versions(name).await;
        let left = names(&versions);
        if left == [format!("Secret/credentials-{name}-dev")] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn disabled_by_the_project_and_by_command_leaves_credentials_alone() {
    let world = crate::shared().await;
    let (producer, neighbour) = (world.producer("di").await, world.producer("ne").await);
    let name = producer.name.clone();
    let gateways = [Gateway::new("g1", "main", &["/cars"])];
    for producer in [&producer, &neighbour] {
        push(producer, &gateways).await;
        world.applied(producer).await;
    }
    let untouched = world.versions(&neighbour.name).await;
    let (secret, all) = (credentials(&world, &name).await, world.versions(&name).await);

    producer.dev.write("lunchbadger.json", file(&name, &gateways, true));
    producer.dev.commit_and_push("Switch off").await;
    only_credentials(&world, &name).await;
    let (reason, _) = world.condition(&name, "Disabled", "True").await;
    assert_eq!(reason, "DisabledByProject");
    push(&producer, &gateways).await;
    world.applied(&producer).await;
    assert_eq!(names(&world.versions(&name).await), names(&all));
    assert_eq!(credentials(&world, &name).await, secret);

    world.ok(&["producers", "disable", &name]).await;
    only_credentials(&world, &name).await;
    let (reason, _) = world.condition(&name, "Disabled", "True").await;
    assert_eq!(reason, "DisabledByOperator");
    world.ok(&["producers", "enable", &name]).await;
    world.condition(&name, "Disabled", "False").await;
    world.applied(&producer).await;
    assert_eq!(names(&world.versions(&name).await), names(&all));
    assert_eq!(credentials(&world, &name).await, secret);
    assert_eq!(world.versions(&neighbour.name).await, untouched);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_limits_hold_for_one_producer() {
    let world = crate::shared().await;
    let producer = world.producer("li").await;
    let name = producer.name.clone();
    push(&producer, &[Gateway::new("g1", "first", &["/1"]), Gateway::new("g2", "second", &["/2"])]).await;
    world.applied(&producer).await;
    let all = world.versions(&name).await;
    world.edit(&name, json!({"limits": {"gateways": 1}})).await;
    lb_testkit::eventually("the second gateway goes, with a finding", || async {
        let status = world.resource(&name).await.and_then(|resource| resource.status).unwrap_or_default();
        let findings = status.environments.get("dev").map(|of| of.findings.join("\n")).unwrap_or_default();
        let left = world.versions(&name).await;
        let gone = !names(&left).iter().any(|key| key.contains("-dev-second"));
        if gone && findings.contains("second") { Ok(()) } else { Err(format!("{findings}\n{left:#?}")) }
    })
    .await;
    let first = |key: &&str| key.contains("-dev-first");
    let kept = world.versions(&name).await;
    assert_eq!(
        names(&kept).into_iter().filter(first).collect::<Vec<_>>(),
        names(&all).into_iter().filter(first).collect::<Vec<_>>()
    );
    world.edit(&name, json!({"limits": {"gateways": 2}})).await;
    lb_testkit::eventually("the second gateway is back", || async {
        let now = world.versions(&name).await;
        if names(&now) == names(&all) { Ok(()) } else { Err(format!("{:?}", names(&now))) }
    })
    .await;
    world.applied(&producer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_turns_is_told_by_events() {
    let world = crate::shared().await;
    let producer = world.producer("ev").await;
    let name = producer.name.clone();
    push(&producer, &[Gateway::new("g1", "main", &["/a"])]).await;
    world.applied(&producer).await;
    producer.dev.write("lunchbadger.json", "{");
    producer.dev.commit_and_push("Break it").await;
    world.condition(&name, "Applied", "False").await;
    world.ok(&["producers", "disable", &name]).await;
    only_credentials(&world, &name).await;
    let child = format!("{name}-dev-main");
    for (kind, about, tone, reason) in [
        ("LBGateway", &child, "Normal", "Applied"),
        ("LBProducer", &name, "Normal", "Applied"),
        ("LBProducer", &name, "Warning", "Held"),
        ("LBProducer", &name, "Normal", "DisabledByOperator"),
    ] {
        let wanted = (tone.to_owned(), reason.to_owned());
        lb_testkit::eventually(&format!("{kind} {about}: {tone} {reason}"), || async {
            let events = world.events(kind, about).await;
            if events.contains(&wanted) { Ok(()) } else { Err(format!("{events:?}")) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_that_is_taken_away_leaves_credentials_alone() {
    let world = crate::shared().await;
    let producer = world.producer("en").await;
    let name = producer.name.clone();
    let dev = file(&name, &[Gateway::new("g1", "main", &["/a"])], false);
    let mut both: serde_json::Value = serde_json::from_str(&dev).expect("a project file");
    // A file that has projects, but none of this environment, is held and not taken for an empty one.
    both["models"]["Project"][format!("{name}-test")] =
        format!(r#"{{"id":"{name}-test","name":"main"}}"#).into();
    producer.dev.write("lunchbadger.json", both.to_string());
    producer.dev.commit_and_push("Two environments").await;
    world.applied(&producer).await;
    let dev = names(&world.versions(&name).await).len();
    world.edit(&name, json!({"environments": ["dev", "test"]})).await;
    lb_testkit::eventually("test stands beside dev", || async {
        let all = world.versions(&name).await;
        let test = names(&all).iter().filter(|key| key.contains("-test")).count();
        if test > 5 && all.len() == dev + test { Ok(()) } else { Err(format!("{:?}", names(&all))) }
    })
    .await;
    world.edit(&name, json!({"environments": ["dev"]})).await;
    lb_testkit::eventually("of test only credentials are left", || async {
        let all = world.versions(&name).await;
        let test: Vec<_> = names(&all).into_iter().filter(|key| key.contains("-test")).collect();
        if test == [format!("Secret/credentials-{name}-test")] { Ok(()) } else { Err(format!("{test:?}")) }
    })
    .await;
    assert_eq!(names(&world.versions(&name).await).len(), dev + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_means_untouched_until_resumed() {
    let world = crate::shared().await;
    let producer = standing(&world, "su").await;
    let name = producer.name.clone();
    world.ok(&["producers", "suspend", &name]).await;
    world.condition(&name, "Suspended", "True").await;
    let before = world.versions(&name).await;
    push(&producer, &[Gateway::new("g1", "main", &["/b"])]).await;
    // Another producer's push, made later and applied, shows that this one's was seen and left alone.
    let witness = world.producer("wi").await;
    push(&witness, &[]).await;
    world.applied(&witness).await;
    assert_eq!(world.versions(&name).await, before);
    world.ok(&["producers", "resume", &name]).await;
    world.applied(&producer).await;
    assert_ne!(world.versions(&name).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_credentials_too_and_needs_a_disabled_producer() {
    let world = crate::shared().await;
    let producer = standing(&world, "pu").await;
    let name = producer.name.clone();
    let refused = world.run(&["producers", "purge", &name, "--yes"]).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("disable"), "{refused:?}");
    world.ok(&["producers", "disable", &name]).await;
    only_credentials(&world, &name).await;
    world.ok(&["producers", "purge", &name, "--yes"]).await;
    lb_testkit::eventually("nothing is left", || async {
        let left = world.versions(&name).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{:?}", names(&left))) }
    })
    .await;
    let resource = world.resource(&name).await.expect("its git user is still there");
    assert_eq!(resource.spec.access, lb_desired::crd::Access::Disabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_redis_password_reaches_gateways_and_changes_no_credential() {
    let old = "the-first-password";
    let world = World::start(&[("REDIS_ACL", "off"), ("REDIS_PASSWORD", old)]).await;
    let producer = standing(&world, "ro").await;
    let name = &producer.name;
    let minted = credentials(&world, name).await;
    let (redis, gateway) = (format!("redis-{name}-dev-main"), format!("gateway-{name}-dev-main"));
    let template = async || {
        let deployment = world.object("Deployment", &gateway).await.ok_or("no Deployment")?;
        Ok::<_, String>(deployment["spec"]["template"].clone())
    };
    assert_eq!(password(&world, &redis).await.as_deref(), Ok(old));
    let first = template().await.expect("a Deployment");

    world.kill().await;
    let new = "the-second-password";
    world.set("REDIS_PASSWORD", new);
    world.resume().await;
    let rotated = async || match password(&world, &redis).await? {
        text if text == new => Ok(()),
        other => Err(other),
    };
    lb_testkit::eventually("the gateway has the new password", rotated).await;
    lb_testkit::eventually("the gateway rolls out", || async {
        let now = template().await?;
        if now == first { Err(now.to_string()) } else { Ok(()) }
    })
    .await;
    assert_eq!(credentials(&world, name).await, minted);

    world.api("Secret").await.delete(&redis, &Default::default()).await.expect("delete the Secret");
    lb_testkit::eventually("it is put back", rotated).await;
    let shown =
        world.cluster.kubectl(&["get", "all,lbp,lbg,lbw,events,configmaps", "-A", "-o", "yaml"]).await;
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned() + &world.whole_log();
    assert!(shown.contains(name) && !shown.contains(old) && !shown.contains(new));
}

/// What a Secret says of Redis' password.
async fn password(world: &World, secret: &str) -> Result<String, String> {
    let object = world.object("Secret", secret).await.ok_or("no Secret")?;
    let secret: k8s_openapi::api::core::v1::Secret =
        serde_json::from_value(object).map_err(|error| error.to_string())?;
    let value = secret.data.unwrap_or_default().remove("redis-password").ok_or("no password")?;
    String::from_utf8(value.0).map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_everything_writes_nothing() {
    let world = World::start(&[]).await;
    let producer = standing(&world, "re").await;
    let (before, resource) = (world.versions(&producer.name).await, world.resource(&producer.name).await);
    world.kill().await;
    world.resume().await;
    // A new push of somebody else is applied after the restart: by then everything was looked at.
    let witness = world.producer("wi").await;
    push(&witness, &[]).await;
    world.applied(&witness).await;
    assert_eq!(world.versions(&producer.name).await, before);
    let version =
        |resource: Option<lb_desired::crd::LBProducer>| resource.and_then(|r| r.metadata.resource_version);
    assert_eq!(version(world.resource(&producer.name).await), version(resource));
}
