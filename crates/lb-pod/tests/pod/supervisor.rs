//! The channel to the app's supervisor, where whoever calls may be the app itself.

use lb_http::contract::supervisor::OUTPUT_LIMIT;
use lb_testkit::eventually;
use serde_json::{Value, json};

use crate::world::{Pod, World, answer};

/// Becomes the supervisor: its session, as long as the answer is held.
async fn connect(pod: &Pod) -> (reqwest::Response, String) {
    let mut stream = eventually("a supervisor may connect", || async {
        let answer = pod.request_at("supervisor", "none", "GET", "/orders").send().await.unwrap();
        if answer.status() == 200 { Ok(answer) } else { Err(answer.status()) }
    })
    .await;
    let mut text = String::new();
    while !text.contains("\"id\":\"") {
        text += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
    }
    let id = text.split("\"id\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    (stream, id)
}

async fn report(pod: &Pod, session: &str, report: &Value) -> u16 {
    eventually("it is not too fast", || async {
        let put = pod.request_at("supervisor", "none", "PUT", &format!("/state/{session}")).json(report);
        match answer(put).await.0 {
            429 => Err("too fast"),
            status => Ok(status),
        }
    })
    .await
}

/// Waits until the status is so: it follows what the supervisor reports, in a task of its own.
async fn shown(pod: &Pod, so: impl Fn(&Value) -> bool) {
    eventually("the status shows it", || async {
        let status = pod.status().await;
        if so(&status) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pretends_to_be_the_supervisor_gains_nothing() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let (first, old) = connect(&pod).await;
    let (_second, session) = connect(&pod).await;
    // The last one is heard, the one before is not, and its stream has ended.
    let end = async { first.bytes().await.map(|bytes| bytes.len()) };
    tokio::time::timeout(std::time::Duration::from_secs(30), end).await.unwrap().unwrap();
    assert_eq!(report(&pod, &old, &json!({"state": "running"})).await, 404);
    assert_eq!(report(&pod, &session, &json!({"state": "running"})).await, 204);
    shown(&pod, |status| status["status"] == "running").await;
    // A flood is refused, and what is too large or none.
    let mut refused = 0;
    for _ in 0..20 {
        let put = pod.request_at("supervisor", "none", "PUT", &format!("/state/{session}"));
        refused += u32::from(answer(put.json(&json!({"state": "starting"}))).await.0 == 429);
    }
    assert!(refused > 0);
    let long = json!({"state": "crashed", "output": "x".repeat(100 << 10)});
    assert_eq!(report(&pod, &session, &long).await, 204);
    let length = |status: &Value| status["output"].as_str().unwrap_or_default().len();
    shown(&pod, |status| length(status) == OUTPUT_LIMIT).await;
    let huge = json!({"state": "crashed", "output": "x".repeat(1 << 20)});
    assert_eq!(report(&pod, &session, &huge).await, 413);
    assert_eq!(report(&pod, &session, &json!({"state": "admin"})).await, 400);
    // A document is checked.
    let document = |body: String| {
        let path = format!("/openapi/{session}/{}", "1".repeat(40));
        pod.request_at("supervisor", "none", "PUT", &path).body(body)
    };
    let paths: Vec<String> = (0..501).map(|number| format!("\"/{number}\":{{}}")).collect();
    for (body, status) in [
        ("no".to_owned(), 422),
        (format!("{{\"paths\":{{{}}}}}", paths.join(",")), 422),
        ("x".repeat((1 << 20) + 1), 413),
        ("{\"paths\":{}}".to_owned(), 204),
    ] {
        let beginning: String = body.chars().take(20).collect();
        assert_eq!(answer(document(body)).await.0, status, "{beginning}");
    }
    // The files are the repository's, and nothing of the pod's.
    let files =
        pod.request_at("supervisor", "none", "GET", &format!("/files/{session}")).send().await.unwrap();
    let text = files.text().await.unwrap();
    assert!(text.contains("\"path\":\"package.json\"") && text.trim_end().ends_with('}'), "{text}");
    assert!(!text.contains("0123456789abcdef-pod-al"));
    // Without a token nothing else answers there.
    for path in ["/api/Projects/al-dev", "/project-api/api/Projects/al-dev", "/metrics"] {
        let status = answer(pod.request_at("supervisor", "none", "GET", path)).await.0;
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
}
