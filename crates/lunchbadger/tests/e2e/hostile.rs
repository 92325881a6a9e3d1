//! Projects that cannot be read hold the last good state; other producers go on.

use lb_desired::crd::EnvironmentStatus;
use serde_json::json;

use crate::project::{Gateway, file, push, serverless, standing};
use crate::world::World;

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
async fn a_repository_that_is_too_large_is_a_finding_and_is_read_again_at_another_commit_only() {
    let world = crate::shared().await;
    let producer = standing(&world, "tl").await;
    let functions = &producer.functions;
    let yml = "service: hello\nprovider: { runtime: \"nodejs:8\" }\nfunctions: { f: { handler: a.b } }\n";
    functions.write("hello/serverless.yml", yml);
    let (first, _) = functions.commit_and_push("A function").await;
    // What the status says once this commit was worked on and needs no more work.
    let settled = async |commit: &str| {
        lb_testkit::eventually("the commit is worked on, once", || async {
            let status = world.resource(&producer.name).await.and_then(|resource| resource.status);
            let environment = status.unwrap_or_default().environments.remove("dev").unwrap_or_default();
            let attempted = environment.attempted.clone().and_then(|revision| revision.functions);
            if attempted.as_deref() == Some(commit) && environment.inputs_digest.is_some() {
                Ok(environment)
            } else {
                Err(format!("{environment:#?}"))
            }
        })
        .await
    };
    assert_eq!(settled(&first).await.findings.len(), 1, "its name");
    let before = world.versions(&producer.name).await;
    for number in 0..70 {
        functions.write(&format!("hello/node_modules/{number}"), vec![b'a'; 1 << 20]);
    }
    let (large, remote) = functions.commit_and_push("Dependencies").await;
    assert!(remote.iter().any(|line| line.contains("do not commit `node_modules`")), "{remote:?}");
    let environment = settled(&large).await;
    assert!(environment.findings[0].contains("do not commit `node_modules`"), "{environment:#?}");
    assert_eq!(world.condition(&producer.name, "Applied", "False").await.0, "Held");
    assert_eq!(world.versions(&producer.name).await, before);
    functions.run(&["rm", "-r", "--quiet", "hello/node_modules"]).await;
    functions.commit_and_push("No dependencies").await;
    world.condition(&producer.name, "Applied", "True").await;
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
    push(&producer, &gateways).await;
    world.applied(&producer).await;
    let versions = world.versions(&producer.name).await;
    let count = versions.keys().filter(|key| key.starts_with("Deployment/gateway-")).count();
    assert_eq!(count, 6, "{versions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_claimed_by_two_is_the_older_ones() {
    let world = crate::shared().await;
    let older = world.producer("ho").await;
    push(&older, &[Gateway::new("g", "front", &["/a"])]).await;
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

/// Waits until an `LBFunction` is this producer's.
async fn function_of(world: &World, name: &str, producer: &str) {
    lb_testkit::eventually(&format!("LBFunction {name} is {producer}'s"), || async {
        let function = world.object("LBFunction", name).await.ok_or("no function yet")?;
        if function["spec"]["producer"] == producer { Ok(()) } else { Err(function.to_string()) }
    })
    .await;
}

/// Waits until the findings of a producer name something, or do so no more.
async fn finding(world: &World, producer: &str, text: &str, named: bool) {
    lb_testkit::eventually(&format!("{producer}: {text} in a finding: {named}"), || async {
        let resource = world.resource(producer).await.ok_or("no LBProducer")?;
        let status = resource.status.unwrap_or_default();
        let environment = status.environments.get("dev").cloned().unwrap_or_default();
        let found = environment.findings.iter().any(|finding| finding.contains(text));
        if found == named { Ok(()) } else { Err(format!("{environment:#?}\n{}", world.log().await)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_name_that_two_want_is_the_first_ones_until_it_is_free() {
    let world = crate::shared().await;
    let first = world.producer("fu").await;
    first.functions.write("x/serverless.yml", serverless(&first.name, "dev-x"));
    first.functions.commit_and_push("A function").await;
    let wanted = format!("{}-dev-dev-x", first.name);
    function_of(&world, &wanted, &first.name).await;
    // The function x of a producer called <first>-dev has the name of <first>'s function dev-x.
    let second = world.producer_named(format!("{}-dev", first.name)).await;
    second.functions.write("x/serverless.yml", serverless(&second.name, "x"));
    second.functions.write("y/serverless.yml", serverless(&second.name, "y"));
    second.functions.commit_and_push("Two functions").await;
    second.dev.write("lunchbadger.json", file(&second.name, &[Gateway::new("g", "main", &["/a"])], false));
    second.dev.commit_and_push("A gateway").await;
    finding(&world, &second.name, &format!("`fn-{wanted}`"), true).await;
    world.applied(&second).await;
    function_of(&world, &format!("{}-dev-y", second.name), &second.name).await;
    function_of(&world, &wanted, &first.name).await;
    world.ok(&["diff", &second.name]).await;
    first.functions.remove("x/serverless.yml");
    first.functions.commit_and_push("No function").await;
    function_of(&world, &wanted, &second.name).await;
    finding(&world, &second.name, &format!("`fn-{wanted}`"), false).await;
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
    let status = says_of_child(&world, &name, &child, &both, "2/2").await;
    assert!(status.credentials_made, "{status:#?}");
    assert!(status.findings.iter().any(|line| line.contains("provider.namespace")), "{status:#?}");
    producer.dev.write("lunchbadger.json", file(&name, &[main], false));
    let (less, _) = producer.dev.commit_and_push("One gateway less").await;
    says_of_child(&world, &name, &child, &less, "1/1").await;
    lb_testkit::eventually("the other gateway's objects are gone", || async {
        let all = world.versions(&name).await;
        if all.keys().any(|key| key.contains("-dev-edge")) { Err(format!("{all:?}")) } else { Ok(()) }
    })
    .await;
    world.api("LBFunction").await.delete(&child, &Default::default()).await.expect("make room");
    world.applied(&producer).await;
}

/// Waits until the status of this commit, with these of its gateways standing, names this child.
async fn says_of_child(
    world: &World,
    name: &str,
    child: &str,
    commit: &str,
    gateways: &str,
) -> EnvironmentStatus {
    lb_testkit::eventually(&format!("the status says what {child} lacks"), || async {
        let status = world.resource(name).await.and_then(|resource| resource.status).unwrap_or_default();
        let status = status.environments.get("dev").cloned().unwrap_or_default();
        let applied = status.conditions.iter().find(|c| c.type_ == "Applied");
        let told = applied.is_some_and(|c| c.status == "False" && c.message.contains(child));
        let attempted = status.attempted.clone().and_then(|revision| revision.dev);
        if told && attempted.as_deref() == Some(commit) && status.gateways == gateways {
            Ok(status)
        } else {
            Err(format!("{status:#?}"))
        }
    })
    .await
}
