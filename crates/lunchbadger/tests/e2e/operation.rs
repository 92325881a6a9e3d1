//! What operators rely on: health, metrics, and silence where nothing happens.

use serde_json::Value;

use crate::project::standing;
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn the_actualizer_answers_for_its_health_and_its_metrics() {
    let world = crate::shared().await;
    standing(&world, "he").await;
    let client = reqwest::Client::new();
    let get = async |path: &str, token: Option<&str>| {
        let mut request = client.get(format!("{}{path}", world.actualizer));
        if let Some(name) = token {
            let token = std::fs::read_to_string(world.data.path().join(name)).expect("a token");
            request = request.bearer_auth(token.trim());
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    };
    assert_eq!(get("/live", None).await, (200, r#"{"live":true}"#.to_owned()));
    assert_eq!(get("/metrics", None).await.0, 401);
    let (status, metrics) = get("/metrics", Some("system.token")).await;
    assert_eq!(status, 200, "{metrics}");
    for line in [
        "leader 1",
        r#"objects_applied_total{kind="Deployment",done="created"}"#,
        r#"reconciles_total{controller="producer",result="ok"}"#,
        r#"reconciles_total{controller="child",result="ok"}"#,
        r#"reconcile_seconds_count{controller="producer"}"#,
        "queue_length ",
        "producers ",
    ] {
        assert!(metrics.contains(line), "{line} is missing:\n{metrics}");
    }
}

/// Requests of the Actualizer that the API server answered: leases, which are renewed whatever happens, and running watches are
/// left out.
fn requests(world: &World) -> Vec<String> {
    let text = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let ours = |event: &Value| {
        text(event, "/userAgent").starts_with("lunchbadger-actualizer/")
            && text(event, "/objectRef/resource") != "leases"
            && text(event, "/verb") != "watch"
    };
    let line = |event: &Value| format!("{} {}", text(event, "/verb"), text(event, "/requestURI"));
    world.cluster.audit().iter().filter(|event| ours(event)).map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_changes_nothing_is_sent() {
    let (world, [git_api, configstore]) = World::start_apart(&[]).await;
    for prefix in ["ia", "ib"] {
        standing(&world, prefix).await;
    }
    assert!(!requests(&world).is_empty(), "two producers were applied");
    let sweeps = || git_api.seen().iter().filter(|request| *request == "GET /changes").count();
    let lists = || configstore.seen().iter().filter(|request| *request == "GET /producers").count();
    // What the last push caused may still end: afterwards there are ten sweeps and two rosters of silence.
    lb_testkit::eventually("nothing is sent for ten sweeps and two rosters", || async {
        let (sent, asked, swept, listed) = (requests(&world).len(), git_api.seen().len(), sweeps(), lists());
        lb_testkit::eventually("ten sweeps and two rosters pass", || async {
            let passed = (sweeps() - swept, lists() - listed);
            if passed.0 >= 10 && passed.1 >= 2 { Ok(()) } else { Err(format!("{passed:?}")) }
        })
        .await;
        let mut sent = requests(&world).split_off(sent);
        sent.extend(git_api.seen().split_off(asked).into_iter().filter(|request| request != "GET /changes"));
        if sent.is_empty() { Ok(()) } else { Err(sent.join("\n")) }
    })
    .await;
}
