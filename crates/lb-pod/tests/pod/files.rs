//! The tree of files: what it shows, and names that are refused.

use serde_json::{Value, json};

use crate::world::{World, answer, too_large};

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_is_written_read_and_removed_from() {
    let world = World::new().await;
    let pod = world.pod().await;
    let put = async |files: Value| {
        answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&json!({"files": files}))).await
    };
    let before = pod.get("/api/WorkspaceFiles/files").await;
    assert!(
        before["files"]["server"]["server.js"].is_string() && before["files"]["package.json"].is_string()
    );
    assert!(before["files"].get("lunchbadger.json").is_none() && before["files"].get(".gitignore").is_none());
    assert_eq!(put(json!({"a": {"b": {"c.txt": "ü\n", "d": "1"}}, "e": ""})).await, (200, json!({})));
    assert_eq!(
        pod.get("/api/WorkspaceFiles/files").await["files"]["a"],
        json!({"b": {"c.txt": "ü\n", "d": "1"}})
    );
    assert_eq!(put(json!({"a": {"b": {"d": null, "never": null}}, "e": null})).await.0, 200);
    assert_eq!(pod.get("/api/WorkspaceFiles/files").await["files"]["a"], json!({"b": {"c.txt": "ü\n"}}));
    assert_eq!(put(json!({"a": null, "x/": null})).await.0, 422);
    assert_eq!(put(json!({"a": null})).await.0, 200);
    assert_eq!(pod.get("/api/WorkspaceFiles/files").await, before);
    pod.pushed().await;
    let clone = world.clone().await;
    assert_eq!(
        clone.run(&["log", "-1", "--format=%an|%s"]).await,
        "customer-dora|LunchBadger: Changes in files"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_trees_are_refused_whole() {
    let world = World::new().await;
    let clone = world.init().await;
    clone.write("dir/inner", "x").write("file", "x");
    std::os::unix::fs::symlink("/etc", clone.path().join("link")).unwrap();
    std::os::unix::fs::symlink("file", clone.path().join("dir/alias")).unwrap();
    clone.commit_and_push("begin").await;
    let pod = world.pod().await;
    pod.pushed().await;
    let before = pod.get("/api/WorkspaceFiles/files").await;
    let long = "n".repeat(5000);
    let deep = (0..40).fold(json!("x"), |below, _| json!({"d": below}));
    let wide = (0..12).fold(json!("x"), |below, _| json!({"n".repeat(200): below}));
    let cases = [
        (json!({"..": {"x": "y"}}), ".."),
        (json!({"a": {"..": {"..": "y"}}}), "a/.."),
        (json!({".": "y"}), "."),
        (json!({"": "y"}), "``"),
        (json!({"/etc/passwd": "y"}), "/etc/passwd"),
        (json!({"a/b": "y"}), "a/b"),
        (json!({"a\\b": "y"}), "a"),
        (json!({".git": {"hooks": {"post-commit": "#!/bin/sh"}}}), ".git"),
        (json!({"a": {".GIT": {"hooks": {"x": "y"}}}}), ".GIT"),
        (json!({".git/hooks/x": "y"}), ".git"),
        (json!({".gitattributes": "* filter=x"}), ".gitattributes"),
        (json!({".gitmodules": null}), ".gitmodules"),
        (json!({"lunchbadger.json": "{}"}), "lunchbadger.json"),
        (json!({"lunchbadger.json": null}), "lunchbadger.json"),
        (json!({"node_modules": {"x": "y"}}), "node_modules"),
        (json!({"package-lock.json": "{}"}), "package-lock.json"),
        (json!({long.clone(): "y"}), "nnnn"),
        (json!({"nul\u{0}": "y"}), "nul"),
        (json!({"line\nend": "y"}), "line"),
        (json!({"dir": "a file where a directory was"}), "dir"),
        (json!({"file": {"x": "a directory where a file was"}}), "file/x"),
        (json!({"link": {"passwd": "through a link"}}), "link/passwd"),
        (json!({"link": "onto a link"}), "link"),
        (json!({"dir": {"alias": "onto a link"}}), "dir/alias"),
        (json!({"a": 1}), "a"),
        (json!({"a": ["x"]}), "a"),
        (deep, "d/d"),
        (wide, "nnnn"),
    ];
    for (files, name) in cases {
        // What is good beside it is not written, either.
        let mut files = files;
        files["good"] = "x".into();
        let body = json!({"files": files});
        let (status, answer) =
            answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&body)).await;
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(name) && message.len() < 800, "{name}: {status} {answer}");
    }
    for (body, expected) in [
        (json!({}), 400),
        (json!({"files": []}), 400),
        (
            json!({"files": (0..6000).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>()}),
            413,
        ),
    ] {
        assert_eq!(
            answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&body)).await.0,
            expected
        );
    }
    let announced = pod.request("writer", "PUT", "/api/WorkspaceFiles/files").body(vec![b' '; 33 << 20]);
    assert!(too_large(announced).await);
    assert_eq!(pod.get("/api/WorkspaceFiles/files").await, before);
    assert_eq!(pod.status().await["unpushed"], 0);
    // A link may go, and a file may take a directory's place once that is gone.
    let removed = json!({"files": {"link": null, "dir": null}});
    assert_eq!(answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&removed)).await.0, 200);
    let file = json!({"files": {"dir": "now a file"}});
    assert_eq!(answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&file)).await.0, 200);
    assert_eq!(
        pod.get("/api/WorkspaceFiles/files").await["files"],
        json!({"dir": "now a file", "file": "x"})
    );
}
