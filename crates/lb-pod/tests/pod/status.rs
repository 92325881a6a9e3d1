//! The status, its stream, and what may be done to the workspace as a whole.

use std::time::Duration;

use futures::{Stream, StreamExt};
use lb_http::contract::SseDecoder;
use lb_pod::workspace::{AppRequest, AppState};
use lb_testkit::eventually;
use serde_json::{Value, json};

use crate::world::{Pod, World, answer, user};

/// What the stream of the status tells, event by event.
async fn stream(pod: &Pod, role: &str) -> std::pin::Pin<Box<dyn Stream<Item = Value> + Send>> {
    let response = pod.request(role, "GET", "/api/WorkspaceStatus/change-stream").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let decoder = SseDecoder::new("status", 1 << 20);
    let events = response.bytes_stream().scan(decoder, |decoder, piece| {
        let events = piece.ok().map(|piece| decoder.push(&piece).unwrap());
        std::future::ready(events)
    });
    let events = events.flat_map(futures::stream::iter).map(|event| {
        assert_eq!(event.event, "data");
        serde_json::from_str::<Value>(&event.data).unwrap()
    });
    Box::pin(events)
}

/// Events until one is good.
async fn until(events: &mut (impl Stream<Item = Value> + Unpin), good: impl Fn(&Value) -> bool) -> Value {
    let found = async {
        loop {
            let event = events.next().await.expect("the stream goes on");
            assert_eq!((&event["target"], event["type"].as_str()), (&json!(1), Some("update")));
            if good(&event["data"]) {
                return event["data"].clone();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the event comes")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_begins_with_the_state_and_follows_the_app() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let mut events = stream(&pod, "reader").await;
    let first = until(&mut events, |_| true).await;
    assert_eq!(first, pod.status().await);
    assert_eq!((first["status"].as_str(), first["id"].as_u64()), (Some("installing"), Some(1)));
    assert!(first["output"].as_str().unwrap().contains("nobody supervises"), "{first}");
    assert!(
        first["ws_git"].as_str().unwrap().ends_with("/customer-al/dev.git")
            && first["fn_git"].as_str().unwrap().ends_with("/customer-al/functions.git")
    );
    let supervisor = pod.app.supervise();
    supervisor.report(AppState::Running);
    until(&mut events, |data| data["status"] == "running").await;
    supervisor.report(AppState::Crashed { output: "oh no".into() });
    let crashed = until(&mut events, |data| data["status"] == "crashed").await;
    assert_eq!(crashed["output"], "oh no");
    drop(supervisor);
    until(&mut events, |data| data["status"] == "installing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_for_whom_nobody_knows_any_more() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let mut events = stream(&pod, "reader").await;
    until(&mut events, |_| true).await;
    world.git().remove_collaborator(&user("al"), &"dev".parse().unwrap(), "customer-carl").await.unwrap();
    world.clock.advance(Duration::from_secs(31));
    let supervisor = pod.app.supervise();
    supervisor.report(AppState::Running);
    let ended = tokio::time::timeout(Duration::from_secs(30), events.next()).await.unwrap();
    assert_eq!(ended, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_reach_the_supervisor_and_are_refused_without() {
    let world = World::new().await;
    let pod = world.pod().await;
    let post = async |role: &str, what: &str| {
        answer(pod.request(role, "POST", &format!("/api/WorkspaceStatus/{what}"))).await.0
    };
    assert_eq!((post("admin", "restart").await, post("admin", "reinstall").await), (503, 503));
    let mut supervisor = pod.app.supervise();
    assert_eq!((post("admin", "restart").await, post("owner", "reinstall").await), (204, 204));
    assert_eq!(supervisor.next().await, Some(AppRequest::Restart));
    assert_eq!(supervisor.next().await, Some(AppRequest::Reinstall));
    assert_eq!(post("writer", "restart").await, 403);
    // Somebody else's push has the app started anew.
    pod.pushed().await;
    let clone = world.clone().await;
    clone.write("package.json", "{}");
    clone.commit_and_push("external").await;
    let asked = tokio::time::timeout(Duration::from_secs(30), supervisor.next()).await.unwrap();
    assert_eq!(asked, Some(AppRequest::Restart));
    assert_eq!(answer(pod.request("reader", "GET", "/api/WorkspaceStatus/2")).await.0, 404);
    assert_eq!(answer(pod.request("reader", "GET", "/api/WorkspaceStatus/ping")).await.0, 204);
    eventually("nothing is left", || async {
        let status = pod.status().await;
        if status["unpushed"] == 0 { Ok(()) } else { Err(status) }
    })
    .await;
}
