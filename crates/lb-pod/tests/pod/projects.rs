//! The project: saved as commits of who asked, guarded by `If-Match`, lossless.

use serde_json::{Value, json};

use crate::world::{World, answer, too_large, user};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_gets_the_starter_project() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let clone = world.clone().await;
    let files = ".gitignore lunchbadger.json package.json server/boot/root.js server/component-config.json server/config.json server/datasources.json server/middleware.json server/model-config.json server/server.js";
    assert_eq!(clone.run(&["ls-files"]).await.replace('\n', " "), files);
    assert_eq!(
        clone.run(&["log", "--format=%an|%ae|%cn|%ce|%s"]).await,
        "LunchBadger|support@lunchbadger.com|LunchBadger|support@lunchbadger.com|LunchBadger: Changes in workspace"
    );
    let project = pod.get("/api/Projects/al-dev").await;
    assert_eq!((project["name"].as_str(), project["gateways"].as_array().unwrap().len()), (Some("main"), 0));
    assert_eq!(pod.get("/project-api/api/Projects/al-dev").await, project, "under the public prefix, too");
    for api in [pod.project_api, pod.workspace_api] {
        let (status, root) = answer(world.http.get(format!("http://{api}/"))).await;
        assert!(status == 200 && root["started"].is_string() && root["uptime"].is_number(), "{root}");
    }
    // A pod that starts again has nothing to do.
    let head = clone.run(&["rev-parse", "HEAD"]).await;
    pod.end().await;
    let again = world.pod().await;
    again.pushed().await;
    clone.run(&["pull", "--quiet"]).await;
    assert_eq!(clone.run(&["rev-parse", "HEAD"]).await, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_is_a_commit_whose_author_is_who_asked() {
    let world = World::new().await;
    let pod = world.pod().await;
    let (status, project) =
        pod.patch("writer", json!({"states": [{"key": "k", "value": "v"}], "new": {"é": 1}})).await;
    assert_eq!(status, 200, "{project}");
    assert_eq!(project["states"][0]["id"].as_str().unwrap().len(), 36);
    assert_eq!(pod.get("/api/Projects/al-dev").await, project);
    pod.pushed().await;
    let clone = world.clone().await;
    assert_eq!(
        clone.run(&["log", "-1", "--format=%an|%ae|%cn|%ce|%s"]).await,
        "customer-dora|dora@customer.com|LunchBadger|support@lunchbadger.com|LunchBadger: Changes in project"
    );
    let file: Value = serde_json::from_str(&clone.read("lunchbadger.json")).unwrap();
    let inner: Value = serde_json::from_str(file["models"]["Project"]["al-dev"].as_str().unwrap()).unwrap();
    assert_eq!(inner, project);
    // The same once more changes nothing.
    let head = clone.run(&["rev-parse", "HEAD"]).await;
    assert_eq!(answer(pod.request("owner", "PUT", "/api/Projects").json(&project)).await, (200, project));
    pod.pushed().await;
    clone.run(&["pull", "--quiet"]).await;
    assert_eq!(clone.run(&["rev-parse", "HEAD"]).await, head);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_editors_who_read_the_same_one_saves() {
    let world = World::new().await;
    let pod = world.pod().await;
    let read = pod.request("reader", "GET", "/api/Projects/al-dev").send().await.unwrap();
    let tag = read.headers()["etag"].to_str().unwrap().to_owned();
    let save = |role: &'static str, name: String, tag: String| {
        let given = json!({"id": "al-dev", "name": name});
        answer(pod.request(role, "PATCH", "/api/Projects").header("if-match", tag).json(&given))
    };
    let many =
        (0..8).map(|number| save(["writer", "admin"][number % 2], format!("name {number}"), tag.clone()));
    let answers = futures::future::join_all(many).await;
    let winners: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(
        answers.iter().all(|(status, body)| *status == 200
            || *status == 412 && body["error"]["code"] == "PRECONDITION_FAILED")
    );
    assert_eq!(pod.get("/api/Projects/al-dev").await, winners[0].1);
    for (tag, expected) in [("*", 200), ("\"x\", *", 200), ("W/\"x\"", 412), ("", 412)] {
        assert_eq!(save("writer", "other".to_owned(), tag.to_owned()).await.0, expected, "{tag}");
    }
    let cleared = pod.request("writer", "POST", "/api/Projects/al-dev/clear").header("if-match", tag);
    assert_eq!(answer(cleared).await.0, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_keys_and_the_style_of_everything_else_survive() {
    let world = World::new().await;
    let clone = world.init().await;
    let inner = r#"{ \"id\":\"al-dev\", \"name\" :\"main\",\n \"gateways\": [ {\"id\":\"g\", \"x\":{}, \"name\": \"m\", \"dnsPrefix\":\"m\"} ], \"odd\" : 1.50 }"#;
    let text = format!(
        "{{\r\n\t\"ids\": {{\"Project\": 1, \"x\": [ ]}},\r\n\t\"models\": {{ \"Project\": {{ \"al-dev\": \"{inner}\" }}, \"Other\":{{\"1\":\"{{}}\"}} }}\r\n}}"
    );
    clone.write("lunchbadger.json", &text).write("bin", [0_u8, 255]);
    clone.commit_and_push("theirs").await;
    let pod = world.pod().await;
    let mut project = pod.get("/api/Projects/al-dev").await;
    project["gateways"][0]["dnsPrefix"] = "changed".into();
    project["states"] = json!([]);
    assert_eq!(answer(pod.request("writer", "PUT", "/api/Projects").json(&project)).await.0, 200);
    pod.pushed().await;
    clone.run(&["pull", "--quiet", "origin", "master"]).await;
    let expected = text
        .replace(r#"\"dnsPrefix\":\"m\""#, r#"\"dnsPrefix\":\"changed\""#)
        .replace(r"1.50 }", r#"1.50,\"states\":[] }"#);
    assert_eq!(clone.read("lunchbadger.json"), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_validate_changes_nothing_and_says_why() {
    let world = World::new().await;
    let pod = world.pod().await;
    let before = pod.get("/api/Projects/al-dev").await;
    for (given, place) in [
        (json!({"name": ""}), "name"),
        (json!({"gateways": [{"name": "x"}]}), "gateways[0].dnsPrefix"),
        (json!({"serviceEndpoints": [{"urls": []}]}), "serviceEndpoints[0].name"),
        (json!({"disabled": "true"}), "disabled"),
    ] {
        let (status, body) = pod.patch("writer", given.clone()).await;
        let error = &body["error"];
        assert_eq!((status, error["name"].as_str()), (422, Some("ValidationError")), "{given}: {body}");
        assert!(
            error["details"]["codes"][place].is_array() && error["message"].as_str().unwrap().contains(place),
            "{body}"
        );
    }
    let ask = async |method: &str, path: &str, given: Value| {
        answer(pod.request("admin", method, path).json(&given)).await.0
    };
    assert_eq!(ask("PATCH", "/api/Projects", json!({"name": "x"})).await, 422, "no id");
    assert_eq!(ask("PATCH", "/api/Projects", json!({"id": "bob-dev", "name": "x"})).await, 404);
    assert_eq!(ask("POST", "/api/Projects", json!({"id": "al-dev", "name": "x"})).await, 409);
    assert_eq!(ask("POST", "/api/Projects/bob-dev/clear", json!({})).await, 404);
    assert_eq!(ask("PATCH", "/api/Projects", json!([1])).await, 400);
    assert_eq!(answer(pod.request("reader", "GET", "/api/Projects/bob-dev")).await.0, 404);
    let large = pod.request("writer", "PATCH", "/api/Projects").body(vec![b' '; 9 << 20]);
    assert!(too_large(large).await);
    let text = json!({"id": "al-dev", "states": [{"value": "x".repeat(5 << 20)}]});
    assert_eq!(ask("PATCH", "/api/Projects", text).await, 413);
    assert_eq!(pod.get("/api/Projects/al-dev").await, before);
    assert_eq!(
        pod.patch("writer", json!({"gateways": [{"name": "a", "dnsPrefix": "a"}], "disabled": false}))
            .await
            .0,
        200
    );
    assert_eq!(answer(pod.request("writer", "POST", "/api/Projects/al-dev/clear")).await.0, 204);
    assert_eq!(pod.get("/api/Projects/al-dev").await["gateways"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_cannot_be_read_is_told_and_never_overwritten() {
    let world = World::new().await;
    let clone = world.init().await;
    clone.write("lunchbadger.json", "{ \"models\": ").write("a", "text");
    let (commit, _) = clone.commit_and_push("broken").await;
    let pod = world.pod().await;
    let (status, body) = answer(pod.request("reader", "GET", "/api/Projects/al-dev")).await;
    assert_eq!((status, body["error"]["code"].as_str()), (422, Some("PROJECT_UNREADABLE")), "{body}");
    assert_eq!(pod.patch("owner", json!({"name": "x"})).await.0, 422);
    assert_eq!(
        pod.get("/api/WorkspaceFiles/files").await["files"],
        json!({"a": "text"}),
        "the others are served"
    );
    clone.run(&["fetch", "--quiet"]).await;
    assert_eq!(clone.run(&["rev-parse", "FETCH_HEAD"]).await, commit);
}

#[tokio::test(flavor = "multi_thread")]
async fn disabling_takes_admin_and_a_removed_collaborator_is_out() {
    let world = World::new().await;
    let pod = world.pod().await;
    assert_eq!(pod.patch("writer", json!({"disabled": true})).await.0, 403);
    assert_eq!(pod.patch("admin", json!({"disabled": true})).await.0, 200);
    assert_eq!(
        pod.patch("writer", json!({"disabled": true, "name": "same"})).await.0,
        200,
        "it stays as it is"
    );
    for enabled in [json!(false), json!(null)] {
        assert_eq!(pod.patch("writer", json!({"disabled": enabled})).await.0, 403);
    }
    assert_eq!(pod.patch("owner", json!({"disabled": false})).await.0, 200);

    world.git().remove_collaborator(&user("al"), &"dev".parse().unwrap(), "customer-dora").await.unwrap();
    assert_eq!(pod.patch("writer", json!({"name": "cached"})).await.0, 200, "for 30 s");
    world.clock.advance(std::time::Duration::from_secs(31));
    assert_eq!(pod.patch("writer", json!({"name": "out"})).await.0, 403);
    assert_eq!(pod.get("/api/Projects/al-dev").await["name"], "cached");
}
