//! The Workspace API over the clone: what is made is a commit, and what others push is answered.

use serde_json::{Value, json};

use crate::world::{Pod, World, answer};

impl Pod {
    async fn entities(&self, path: &str) -> Value {
        let (status, body) = answer(self.request_at("workspace", "reader", "GET", path)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn make(&self, path: &str, entity: Value) -> Value {
        let (status, body) = answer(self.request_at("workspace", "writer", "POST", path).json(&entity)).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_with_properties_and_a_relation_is_made_pushed_and_answered() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.make(
        "/api/ModelDefinitions",
        json!({"name": "Owner", "facetName": "server", "base": "PersistedModel"}),
    )
    .await;
    pod.make("/workspace-api/api/ModelDefinitions", json!({"name": "Car", "facetName": "server"})).await;
    for (name, kind) in [("plate", "string"), ("seats", "number")] {
        let property = json!({"modelId": "server.Car", "facetName": "server", "name": name, "type": kind});
        pod.make("/api/ModelProperties", property).await;
    }
    let relation = json!({"modelId": "server.Car", "facetName": "server", "name": "owner", "type": "belongsTo", "model": "Owner"});
    pod.make("/api/ModelRelations", relation).await;
    pod.make(
        "/api/ModelConfigs",
        json!({"facetName": "server", "name": "Car", "dataSource": "db", "public": true}),
    )
    .await;
    let models =
        pod.entities("/api/Facets/server/models?filter[include]=properties&filter[include]=relations").await;
    let car = models.as_array().unwrap().iter().find(|model| model["name"] == "Car").unwrap();
    assert_eq!(
        (car["properties"].as_array().unwrap().len(), car["relations"][0]["name"].as_str()),
        (2, Some("owner")),
        "{car}"
    );
    pod.pushed().await;
    let clone = world.clone().await;
    let file: Value = serde_json::from_str(&clone.read("server/models/car.json")).unwrap();
    assert_eq!(file["properties"]["seats"]["type"], "number", "{file}");
    assert_eq!(file["relations"]["owner"]["model"], "Owner", "{file}");
    assert!(clone.read("server/models/car.js").contains("module.exports"));
    let authors = clone.run(&["log", "-6", "--format=%ae %ce"]).await;
    assert_eq!(authors.lines().collect::<Vec<_>>(), ["dora@customer.com support@lunchbadger.com"; 6]);

    // Somebody else's push is answered, a file that cannot be read keeps nobody from the others, and is left alone.
    clone.write("server/models/bike.json", "{\"name\": \"Bike\", \"properties\": {}}");
    clone.write("server/models/owner.json", "{ broken");
    clone.commit_and_push("by hand").await;
    lb_testkit::eventually("the push is answered", async || {
        let models = pod.entities("/api/ModelDefinitions").await;
        let names: Vec<_> = models.as_array().unwrap().iter().map(|model| model["name"].clone()).collect();
        if names.contains(&json!("Bike")) && names.contains(&json!("Car")) {
            Ok(())
        } else {
            Err(format!("{names:?}"))
        }
    })
    .await;
    let change = json!({"id": "server.Owner", "name": "Owner", "facetName": "server"});
    let (status, body) =
        answer(pod.request_at("workspace", "writer", "POST", "/api/ModelDefinitions").json(&change)).await;
    assert!((400..500).contains(&status), "{status} {body}");
    pod.pushed().await;
    clone.run(&["pull", "--quiet"]).await;
    assert_eq!(clone.read("server/models/owner.json"), "{ broken");

    // Clearing leaves nothing of them.
    let cleared = answer(pod.request("writer", "POST", "/api/Projects/al-dev/clear")).await;
    assert_eq!(cleared.0, 204, "{}", cleared.1);
    assert_eq!(pod.entities("/api/Facets/server/modelConfigs").await, json!([]));
    assert_eq!(pod.entities("/api/Facets/server/datasources").await, json!([]));
}
