//! Clone and git host: what others push, what is pushed while the host is away, what displaces what, the end.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lb_testkit::eventually;
use serde_json::{Value, json};

use crate::world::{Pod, World, answer};

async fn name(pod: &Pod) -> Value {
    pod.get("/api/Projects/al-dev").await["name"].clone()
}

async fn until(pod: &Pod, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || async {
        let status = pod.status().await;
        if good(&status) { Ok(status) } else { Err(status) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_push_is_there_at_once_and_our_own_is_none() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let instance = pod.status().await["instance"].clone();
    for number in 0..3 {
        assert_eq!(pod.patch("writer", json!({"name": format!("own {number}")})).await.0, 200);
        pod.pushed().await;
    }
    assert_eq!(pod.status().await["instance"], instance, "our own pushes are none of somebody else's");
    let clone = world.clone().await;
    clone.write("server/extra.js", "// theirs\n");
    let begin = std::time::Instant::now();
    clone.commit_and_push("external").await;
    let status = until(&pod, "the push is seen", |status| status["instance"] != instance).await;
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}: an idle machine takes some hundred milliseconds");
    assert_eq!(pod.get("/api/WorkspaceFiles/files").await["files"]["server"]["extra.js"], "// theirs\n");
    assert_eq!((&status["problem"], &status["displaced"]), (&Value::Null, &json!([])));
    assert_eq!(name(&pod).await, "own 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_push_without_a_project_file_gets_a_blank_one() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let instance = pod.status().await["instance"].clone();
    let clone = world.clone().await;
    clone.remove("lunchbadger.json");
    clone.commit_and_push("external").await;
    until(&pod, "the push is seen", |status| status["instance"] != instance).await;
    assert_eq!(name(&pod).await, "main");
    pod.pushed().await;
    clone.run(&["pull", "--quiet"]).await;
    assert!(clone.read("lunchbadger.json").contains("al-dev"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remote_wins_a_conflict_and_the_save_is_on_a_branch() {
    let mut world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    let clone = world.clone().await;
    let text = clone.read("lunchbadger.json").replace("main", "theirs");
    clone.write("lunchbadger.json", text);
    // What a writer may do is known for a while.
    assert_eq!(pod.patch("writer", json!({})).await.0, 200);
    // Neither sees the other: the save waits while the host is away, and the push is made beside it.
    world.stop_git_api().await;
    assert_eq!(pod.patch("writer", json!({"name": "mine"})).await.0, 200);
    let files = json!({"files": {"server": {"mine.js": "mine"}}});
    assert_eq!(answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&files)).await.0, 200);
    let bare = world.directory.path().join("git/users/customer-al/repos/dev/git");
    let commit = clone.commit("external").await;
    clone.run(&["push", "--quiet", bare.to_str().unwrap(), "HEAD:refs/heads/master"]).await;
    world.start_git_api().await;
    let status =
        until(&pod, "both are one", |status| status["displaced"] != json!([]) && status["unpushed"] == 0)
            .await;
    assert_eq!(name(&pod).await, "theirs");
    assert_eq!(
        pod.get("/api/WorkspaceFiles/files").await["files"]["server"]["mine.js"],
        "mine",
        "what does not contradict stays"
    );
    let branch = status["displaced"][0].as_str().unwrap();
    assert!(branch.starts_with("lunchbadger/displaced/"), "{branch}");
    clone.run(&["fetch", "--quiet", "origin"]).await;
    let displaced = clone.run(&["show", &format!("origin/{branch}~1:lunchbadger.json")]).await;
    assert!(displaced.contains("mine"), "{displaced}");
    assert_eq!(clone.run(&["rev-parse", "origin/master~1"]).await, commit);
    assert_eq!(clone.run(&["log", "-1", "--format=%an", "origin/master"]).await, "customer-dora");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_host_is_away_saves_are_counted_and_then_pushed() {
    let mut world = World::new().await;
    let pod = world.pod().await;
    assert_eq!(pod.patch("writer", json!({"name": "before"})).await.0, 200);
    pod.pushed().await;
    world.stop_git_api().await;
    for number in 1..=4 {
        assert_eq!(pod.patch("writer", json!({"name": format!("away {number}")})).await.0, 200);
    }
    let status = until(&pod, "the problem is told", |status| status["problem"].is_string()).await;
    assert_eq!(status["unpushed"], 4, "{status}");
    assert!(!status["problem"].as_str().unwrap().contains("0123456789abcdef"), "no token: {status}");
    // A pod that dies now has them still.
    let (clone, copy) = (world.directory.path().join("clone"), world.directory.path().join("copy"));
    lb_testkit::files::copy_directory(&clone, &copy).unwrap();
    drop(pod);
    world.start_git_api().await;
    let pod = world.pod_with(&[("LB_CLONE_DIR", copy.to_str().unwrap())]).await;
    pod.pushed().await;
    assert_eq!(name(&pod).await, "away 4");
    let log = world.clone().await.run(&["log", "--format=%s"]).await;
    assert_eq!(log.lines().filter(|line| *line == "LunchBadger: Changes in project").count(), 5, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_told_to_end_pushes_first() {
    let world = World::new().await;
    let pod = world.pod_with(&[("LB_PUSH_INTERVAL", "600000")]).await;
    let saves = (0..10).map(|number| pod.patch("writer", json!({"states": [{"id": format!("s{number}")}]})));
    let answers = futures::future::join_all(saves).await;
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let last = pod.get("/api/Projects/al-dev").await;
    pod.end().await;
    let clone = world.clone().await;
    let file: Value = serde_json::from_str(&clone.read("lunchbadger.json")).unwrap();
    let inner: Value = serde_json::from_str(file["models"]["Project"]["al-dev"].as_str().unwrap()).unwrap();
    assert_eq!(inner, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn self_destruct_pushes_and_ends() {
    let world = World::new().await;
    let pod = world.pod_with(&[("LB_PUSH_INTERVAL", "600000")]).await;
    assert_eq!(pod.patch("writer", json!({"name": "last"})).await.0, 200);
    assert_eq!(answer(pod.request("writer", "POST", "/api/WorkspaceStatus/self-destruct")).await.0, 403);
    assert_eq!(answer(pod.request("admin", "POST", "/api/WorkspaceStatus/self-destruct")).await.0, 204);
    pod.ended().await;
    assert!(world.clone().await.read("lunchbadger.json").contains("last"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hard_reset_gives_up_what_is_not_pushed_and_keeps_it_on_a_branch() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    pod.end().await;
    let pod = world.pod_with(&[("LB_PUSH_INTERVAL", "600000")]).await;
    // The first push is made at once, the next one is far away.
    assert_eq!(pod.patch("writer", json!({"name": "kept"})).await.0, 200);
    pod.pushed().await;
    assert_eq!(pod.patch("writer", json!({"name": "given up"})).await.0, 200);
    let instance = pod.status().await["instance"].clone();
    assert_eq!(answer(pod.request("admin", "POST", "/api/WorkspaceStatus/hard-reset")).await.0, 204);
    let status = pod.status().await;
    assert_eq!((name(&pod).await, &status["unpushed"]), ("kept".into(), &json!(0)));
    assert_ne!(status["instance"], instance);
    let branch = format!("origin/{}", status["displaced"][0].as_str().unwrap());
    let clone = world.clone().await;
    assert!(clone.run(&["show", &format!("{branch}:lunchbadger.json")]).await.contains("given up"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_lose_nothing() {
    let world = World::new().await;
    let pod = Arc::new(world.pod().await);
    let writers = (0..4).map(|writer| {
        let pod = Arc::clone(&pod);
        async move {
            for number in 0..10 {
                let files = json!({"files": {format!("w{writer}"): {format!("f{number}"): format!("{writer}.{number}")}}});
                let (status, body) = answer(pod.request("writer", "PUT", "/api/WorkspaceFiles/files").json(&files)).await;
                assert_eq!(status, 200, "{body}");
            }
        }
    });
    let external = async {
        for number in 0..3 {
            let clone = world.clone().await;
            clone.write(&format!("theirs{number}"), "x");
            clone.commit("external").await;
            // It may lose against ours; then it is tried on top of them.
            while !clone.push().await.accepted {
                clone.run(&["pull", "--quiet", "--rebase", "origin", "master"]).await;
            }
        }
    };
    tokio::join!(futures::future::join_all(writers), external);
    pod.pushed().await;
    let clone = world.clone().await;
    let files = clone.run(&["ls-files"]).await;
    assert_eq!(files.lines().filter(|file| file.starts_with('w')).count(), 40, "{files}");
    assert_eq!(files.lines().filter(|file| file.starts_with("theirs")).count(), 3, "{files}");
    assert_eq!(pod.status().await["displaced"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_read_anew_and_stands_nowhere_else() {
    let world = World::new().await;
    let pod = world.pod().await;
    pod.pushed().await;
    assert_eq!(pod.patch("writer", json!({})).await.0, 200);
    let file = world.directory.path().join("identity/git-api");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, "0123456789abcdef-wrong\n").unwrap();
    assert_eq!(pod.patch("writer", json!({"name": "x"})).await.0, 200);
    let status = until(&pod, "the wrong token is told", |status| status["problem"].is_string()).await;
    assert!(!status["problem"].as_str().unwrap().contains("0123456789abcdef"), "{status}");
    fs::write(&file, &good).unwrap();
    pod.pushed().await;
    let found = find(&world.directory.path().join("clone"), good.trim().as_bytes());
    assert_eq!(found, Vec::<std::path::PathBuf>::new());
}

/// Files below a directory that hold some bytes.
fn find(directory: &std::path::Path, wanted: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(find(&entry, wanted));
        } else if fs::read(&entry).unwrap_or_default().windows(wanted.len()).any(|window| window == wanted) {
            found.push(entry);
        }
    }
    found
}
