//! Projects that cannot be read hold the last good state; other producers go on.

use lb_desired::crd::EnvironmentStatus;
use serde_json::json;

use crate::project::{Gateway, file};
use crate::world::{Producer, World};

async fn standing(world: &World, prefix: &str) -> Producer {
    let producer = world.producer(prefix).await;
    let gateways = [Gateway::new("g1", "main", &["/good"])];
    producer.dev.write("lunchbadger.json", file(&producer.name, &gateways, false));
    producer.dev.commit_and_push("Something good").await;
    world.applied(&producer).await;
    producer
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_project_holds_the_last_good_state() {
    let world = crate::shared().await;
    let producer = standing(&world, "un").await;
    let name = producer.name.clone();
    let before = world.versions(&name).await;
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let other_key = file("somebody", &[], false);
    let switched = file(&name, &[], false).replace("\\\"id\\\"", "\"disabled\": true, \\\"id\\\"");
    let huge = format!("{{\"models\":{{\"Project\":{{\"x\":\"{}\"}}}}}}", "a".repeat(5 << 20));
    let cases = [
        ("not JSON", "{".to_owned(), "Unreadable"),
        ("deep nesting", nested, "Unreadable"),
        ("another producer's key", other_key, "Unreadable"),
        ("JSON broken inside the JSON", switched, "Unreadable"),
        ("over the size limit", huge, "Unreadable"),
    ];
    for (case, text, _) in cases {
        producer.dev.write("lunchbadger.json", text);
        let (commit, remote) = producer.dev.commit_and_push(case).await;
        assert!(remote.iter().any(|line| line.contains("finding")), "{case}: {remote:?}");
        lb_testkit::eventually(&format!("{case}: the status says so"), || async {
            let resource = world.resource(&name).await.ok_or("no LBProducer")?;
            let status = resource.status.unwrap_or_default();
            let environment = status.environments.get("dev").cloned().unwrap_or_default();
            let attempted = environment.attempted.clone().and_then(|revision| revision.dev);
            if attempted.as_deref() == Some(commit.as_str()) && environment.finding_count > 0 {
                Ok(())
            } else {
                Err(format!("{environment:#?}"))
            }
        })
        .await;
        let (reason, _) = world.condition(&name, "Applied", "False").await;
        assert_eq!(reason, "Held", "{case}");
        assert_eq!(world.versions(&name).await, before, "{case}");
    }
    let neighbour = standing(&world, "ne").await;
    assert!(!world.versions(&neighbour.name).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_names_become_objects_or_findings() {
    let world = crate::shared().await;
    let producer = world.producer("st").await;
    let long = "x".repeat(63);
    let gateways = [
        Gateway::new("id1", &long, &["/long"]),
        Gateway::new("id2", "Ümläüt", &["/u"]),
        Gateway::new("id3", "..", &["/dots"]),
        Gateway::new("id4", "%2f", &["/percent"]),
        Gateway::new("id5", "same", &["/first"]),
        Gateway::new("id6", "same", &["/second"]),
    ];
    producer.dev.write("lunchbadger.json", file(&producer.name, &gateways, false));
    producer.dev.commit_and_push("Strange names").await;
    world.applied(&producer).await;
    let versions = world.versions(&producer.name).await;
    let count = versions.keys().filter(|key| key.starts_with("Deployment/gateway-")).count();
    assert_eq!(count, 6, "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_claimed_by_two_is_the_older_ones() {
    let world = crate::shared().await;
    let older = world.producer("ho").await;
    older.dev.write("lunchbadger.json", file(&older.name, &[Gateway::new("g", "front", &["/a"])], false));
    older.dev.commit_and_push("A gateway").await;
    world.applied(&older).await;
    // The workspace of a producer called front-<older> has the host of <older>'s gateway front.
    let name = format!("front-{}", older.name);
    world.ok(&["producers", "create", &name]).await;
    let finding = lb_testkit::eventually("the younger one gets a finding", || async {
        let workspace =
            world.object("LBWorkspace", &format!("{name}-dev")).await.ok_or("no workspace yet")?;
        let findings = workspace["status"]["findings"].clone();
        if findings.to_string().contains("host front-") {
            Ok(findings.to_string())
        } else {
            Err(workspace.to_string())
        }
    })
    .await;
    assert!(finding.contains("LBGateway"), "{finding}");
    let ingress = world
        .object("Ingress", &format!("workspace-{name}-dev"))
        .await
        .map(|i| i.to_string())
        .unwrap_or_default();
    assert!(!ingress.contains(&format!("\"{name}-dev.")), "{ingress}");
    world.applied(&older).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_cannot_stand_stops_no_other() {
    let world = crate::shared().await;
    let producer = world.producer("ch").await;
    let name = producer.name.clone();
    let child = format!("{name}-dev-hello");
    // Somebody else has the name of the function's child.
    let spec = json!({"producer": name, "environment": "dev", "service": "hello", "path": "hello",
        "commit": "1".repeat(40), "digest": "0".repeat(64), "runtime": "nodejs:8", "handler": "a.b"});
    let taken = json!({"apiVersion": "lunchbadger.io/v1alpha1", "kind": "LBFunction",
        "metadata": {"name": child}, "spec": spec});
    world.create("LBFunction", &taken).await;
    let yaml = "service: hello\nprovider: {runtime: 'nodejs:8', namespace: mine}\nfunctions: {hello: {handler: a.b}}\n";
    producer.functions.write("hello/serverless.yml", yaml);
    producer.functions.commit_and_push("A function").await;
    let (main, edge) = (Gateway::new("g1", "main", &["/a"]), Gateway::new("g2", "edge", &["/b"]));
    producer.dev.write("lunchbadger.json", file(&name, &[main.clone(), edge], false));
    let (both, _) = producer.dev.commit_and_push("Two gateways").await;
    let status = says_of_child(&world, &name, &child, &both).await;
    assert!(status.credentials_made, "{status:#?}");
    assert_eq!(status.gateways, "2/2", "{status:#?}");
    assert!(status.findings.iter().any(|line| line.contains("provider.namespace")), "{status:#?}");
    producer.dev.write("lunchbadger.json", file(&name, &[main], false));
    let (less, _) = producer.dev.commit_and_push("One gateway less").await;
    let status = says_of_child(&world, &name, &child, &less).await;
    assert_eq!(status.gateways, "1/1", "{status:#?}");
    assert!(!world.versions(&name).await.keys().any(|key| key.contains("-dev-edge")));
    world.api("LBFunction").await.delete(&child, &Default::default()).await.expect("make room");
    world.applied(&producer).await;
}

/// Waits until the status of a revision whose gateways all stand names this child.
async fn says_of_child(world: &World, name: &str, child: &str, commit: &str) -> EnvironmentStatus {
    lb_testkit::eventually(&format!("the status says what {child} lacks"), || async {
        let status = world.resource(name).await.and_then(|resource| resource.status).unwrap_or_default();
        let status = status.environments.get("dev").cloned().unwrap_or_default();
        let applied = status.conditions.iter().find(|c| c.type_ == "Applied");
        let told = applied.is_some_and(|c| c.status == "False" && c.message.contains(child));
        let attempted = status.attempted.clone().and_then(|revision| revision.dev);
        let (stand, all) = status.gateways.split_once('/').unwrap_or_default();
        if told && attempted.as_deref() == Some(commit) && stand == all {
            Ok(status)
        } else {
            Err(format!("{status:#?}"))
        }
    })
    .await
}
