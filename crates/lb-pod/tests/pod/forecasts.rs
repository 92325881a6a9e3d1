//! Forecasts, beside the project in the same file.

use serde_json::{Value, json};

use crate::world::{World, answer};

#[tokio::test(flavor = "multi_thread")]
async fn forecasts_are_made_read_changed_and_removed() {
    let world = World::new().await;
    let pod = world.pod().await;
    let ask = async |method: &str, path: &str, body: Value| {
        answer(pod.request("writer", method, path).json(&body)).await
    };
    let before = pod.get("/api/Projects/al-dev").await;
    assert_eq!(pod.get("/api/Forecasts").await, json!([]));
    assert_eq!(
        ask("POST", "/api/Forecasts", json!({"data": "x"})).await,
        (200, json!({"data": "x", "id": 1}))
    );
    assert_eq!(ask("POST", "/api/Forecasts", json!({"id": "a", "data": "y"})).await.0, 200);
    assert_eq!(ask("POST", "/api/Forecasts", json!({"id": 1})).await.0, 409);
    assert_eq!(
        ask("PATCH", "/api/Forecasts", json!({"id": 1, "more": 2})).await.1,
        json!({"data": "x", "id": 1, "more": 2})
    );
    assert_eq!(
        ask("PATCH", "/api/Forecasts/a", json!({"data": "z"})).await.1,
        json!({"id": "a", "data": "z"})
    );
    assert_eq!(ask("PUT", "/api/Forecasts/1", json!({"only": true})).await.1, json!({"only": true, "id": 1}));
    assert_eq!(ask("PATCH", "/api/Forecasts/7", json!({})).await.0, 404);
    assert_eq!(pod.get("/api/Forecasts/count").await, json!({"count": 2}));
    assert_eq!(pod.get("/api/Forecasts/1").await, json!({"only": true, "id": 1}));
    assert_eq!(ask("DELETE", "/api/Forecasts/1", json!({})).await.1, json!({"count": 1}));
    assert_eq!(ask("DELETE", "/api/Forecasts/1", json!({})).await.1, json!({"count": 0}));
    assert_eq!(ask("GET", "/api/Forecasts/1", json!({})).await.0, 404);
    assert_eq!(ask("PUT", "/api/Forecasts", json!({"data": "new"})).await.1["id"], 2, "an id is given once");
    assert_eq!(pod.get("/api/Projects/al-dev").await, before);
}
