//! The producer's app beside the API container: real Node, real npm, and an app that does what it should not.

use lb_http::contract::git_api::{TreeAnswer, TreeRequest};
use lb_project::Observed;
use lb_testkit::{eventually, eventually_within};
use lb_vocab::{Blob, CommitId, Limits, RepoName, Source};
use serde_json::{Value, json};

use crate::pod::{Pod, SLOW};
use crate::world::{OPERATOR, al};

/// A server that answers with this text.
fn server(text: &str) -> String {
    format!("require('http').createServer((_, res) => res.end({text:?})).listen(process.env.PORT);\n")
}

/// A server in the starter's place, after this code.
fn instead(code: &str, text: &str) -> Value {
    json!({"server": {"server.js": format!("{code}\n{}", server(text))}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_added_answers_at_the_app() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    pod.app("/", |status, text| status == 200 && text.contains("uptime")).await;
    let model = json!({"name": "Car", "facetName": "server", "base": "PersistedModel", "plural": "Cars"});
    let property = json!({"name": "brand", "type": "string", "modelId": "server.Car", "facetName": "server"});
    let config = json!({"name": "Car", "facetName": "server", "dataSource": "db", "public": true});
    for (kind, body) in [("ModelDefinitions", model), ("ModelProperties", property), ("ModelConfigs", config)]
    {
        let answer = pod.workspace("POST", &format!("api/{kind}")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{kind}: {}", answer.text().await.unwrap());
    }
    pod.app("/api/Cars", |status, text| status == 200 && text == "[]").await;
    let url = format!("http://127.0.0.1:{}/api/Cars", pod.ports[3]);
    let made = pod.http.post(&url).json(&json!({"brand": "Trabant"})).send().await.unwrap();
    assert_eq!(made.status(), 200);
    pod.app("/api/Cars", |_, text| text.contains("Trabant")).await;
    the_document_is_kept(&pod).await;
    the_app_is_seen_through_the_workspace_api(&pod).await;
}

/// What the app shows as its document is in git, and the auto gateway has its paths.
async fn the_document_is_kept(pod: &Pod) {
    let (al, dev) = (al(), RepoName::dev());
    let request = TreeRequest {
        reference: "refs/lunchbadger/openapi/dev".into(),
        globs: vec!["openapi.json".into()],
        max_bytes: 1 << 20,
    };
    let tree = eventually_within("the document is in git", SLOW, || async {
        match pod.world.operator().tree(&al, &dev, &request).await {
            Ok(TreeAnswer::At(_, tree)) => match tree.get("openapi.json") {
                Some(Blob::File(text)) if String::from_utf8_lossy(text).contains("/Cars/{id}") => Ok(tree),
                other => Err(format!("{:?}", other.map(|_| "no cars"))),
            },
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let commit: CommitId = "1".repeat(40).parse().unwrap();
    let observed = Observed {
        dev: Source::Absent(None),
        functions: Source::Absent(None),
        openapi: Source::Known(tree, commit),
    };
    let producer = "al-dev".parse().unwrap();
    let decoded = lb_project::decode(observed, &producer, &Limits::default());
    let document = decoded.openapi.known().unwrap();
    assert_eq!(document.paths["/Cars"].tags, ["Car"], "{:?}", decoded.findings);
    let history =
        pod.world.operator().history(&al, &dev, "refs/lunchbadger/openapi/dev", "", 9).await.unwrap();
    assert!(history[0].subject.contains("OpenAPI document of "), "{history:?}");
}

/// `/explorer` leads to the app, for who may see the project, and without their credentials.
async fn the_app_is_seen_through_the_workspace_api(pod: &Pod) {
    let base = format!("http://127.0.0.1:{}/explorer", pod.ports[1]);
    assert_eq!(pod.http.get(format!("{base}/api/Cars")).send().await.unwrap().status(), 401);
    let get = async |path: &str| {
        let answer = pod.http.get(format!("{base}{path}")).bearer_auth(OPERATOR).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.text().await.unwrap())
    };
    let (status, headers, text) = get("/explorer/swagger.json").await;
    assert!(status == 200 && text.contains("/Cars/{id}"), "{status} {text}");
    assert!(headers.get("access-control-allow-origin").is_none() && headers.get("connection").is_none());
    let post = pod.http.post(format!("{base}/api/Cars")).bearer_auth(OPERATOR);
    assert_eq!(post.json(&json!({"brand": "Wartburg"})).send().await.unwrap().status(), 200);
    assert!(get("/api/Cars?filter[where][brand]=Wartburg").await.2.contains("Wartburg"));
    assert!(get("").await.2.contains("uptime"));
    // An app that shows what it is asked with.
    let echo = "require('http').createServer((q, r) => { r.setHeader('set-cookie', 'a=b'); r.end(JSON.stringify(q.headers)); }).listen(process.env.PORT);";
    pod.write(json!({"server": {"server.js": echo}})).await;
    pod.app("/", |_, text| text.contains("user-agent") || text.contains("host")).await;
    let (_, headers, text) = get("/").await;
    assert!(!text.contains(OPERATOR) && !text.contains("authorization"), "{text}");
    assert!(headers.get("set-cookie").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_ends_is_told_and_started_again() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    pod.write(json!({"server": {"server.js": "console.error('oh no');\nprocess.exit(3);\n"}})).await;
    let output = pod.crashed("exit status: 3").await;
    assert!(output.starts_with("oh no\n") && output.contains("started again in 1 s"), "{output}");
    pod.crashed("started again in 2 s").await;
    pod.write(json!({"server": {"server.js": server("mended")}})).await;
    pod.app("/", |_, text| text == "mended").await;
    pod.running().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dependencies_are_installed_by_npm_and_what_fails_is_told() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    let clone = pod.world.clone().await;
    let package = |range: &str| {
        let mut package: Value = serde_json::from_str(&clone.read("package.json")).unwrap();
        package["dependencies"]["own"] = range.into();
        format!("{package:#}\n")
    };
    let own = json!({"package.json": "{\"name\":\"own\",\"version\":\"1.0.0\"}", "index.js": "module.exports = 'my own';"});
    let app = format!("const text = require('own');\n{}", server("TEXT").replace("\"TEXT\"", "text"));
    pod.write(
        json!({"own": own, "package.json": package("file:./nowhere.tgz"), "server": {"server.js": app}}),
    )
    .await;
    let output = pod.crashed("npm install failed").await;
    assert!(output.contains("nowhere"), "{output}");
    pod.write(json!({"package.json": package("file:./own")})).await;
    pod.app("/", |_, text| text == "my own").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_push_starts_the_app_anew() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    let clone = pod.world.clone().await;
    clone.write("server/server.js", server("external"));
    clone.write("server/gone.js", "");
    clone.commit_and_push("external").await;
    pod.app("/", |_, text| text == "external").await;
    assert!(pod.directory.join("server/gone.js").exists());
    clone.remove("server/gone.js");
    clone.commit_and_push("external again").await;
    eventually("the file is gone", || async {
        if pod.directory.join("server/gone.js").exists() { Err("it is there") } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_an_app_starts_ends_with_it() {
    let Some(mut pod) = Pod::start().await else { return };
    pod.running().await;
    let mark = pod.world.directory.path().join("grandchildren");
    // It leaves its process group, ignores signals, and is its parent's no longer.
    let code = format!(
        "require('child_process').spawn('sh', ['-c', 'trap \"\" TERM INT HUP; (while :; do echo x >> {}; sleep 0.05; done) & sleep 600'], {{detached: true, stdio: 'ignore'}}).unref();",
        mark.display()
    );
    pod.write(instead(&code, "forks")).await;
    pod.app("/", |_, text| text == "forks").await;
    eventually("the grandchild writes", || async { std::fs::metadata(&mark).map(drop) }).await;
    pod.app.as_mut().unwrap().signal("TERM").unwrap();
    eventually("the supervisor ends", || {
        let ended = pod.app.as_mut().unwrap().ended();
        async move { ended.ok_or("it runs") }
    })
    .await;
    let of_app =
        std::process::Command::new("pgrep").args(["-f", &mark.display().to_string()]).output().unwrap();
    assert!(of_app.stdout.is_empty(), "{}", String::from_utf8_lossy(&of_app.stdout));
    pod.status("the API container says so", |status| {
        status["output"].as_str().is_some_and(|output| output.contains("nobody supervises"))
    })
    .await;
    pod.start_app();
    pod.running().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_forks_without_end_is_ended() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    let code = "for (let i = 0; i < 300; i++) require('child_process').spawn('sleep', ['600'], {detached: true, stdio: 'ignore'}).unref();";
    pod.write(instead(code, "forks")).await;
    pod.crashed("256 are allowed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_cannot_keep_the_ports_of_the_api_container() {
    let Some(mut pod) = Pod::start().await else { return };
    pod.running().await;
    // It takes the port as soon as the API container is away.
    let code = format!(
        "setInterval(() => require('net').createServer().on('error', () => 0).listen({}), 20);",
        pod.ports[1]
    );
    pod.write(instead(&code, "greedy")).await;
    pod.app("/", |_, text| text == "greedy").await;
    pod.api.take().unwrap().end().await;
    pod.start_api();
    pod.status("the API container is back", |status| status["status"] == "running").await;
    let log = std::fs::read_to_string(pod.log("app")).unwrap();
    assert!(log.contains("which is the workspace's own"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_and_a_new_installation_are_done_when_asked_for() {
    let Some(pod) = Pod::start().await else { return };
    pod.running().await;
    let marks = pod.world.directory.path().join("starts");
    let code = format!("require('fs').appendFileSync({:?}, 'x');", marks.display().to_string());
    pod.write(instead(&code, "starts")).await;
    let starts = async |number: u64| {
        eventually(&format!("it was started {number} times"), || async {
            let length = std::fs::metadata(&marks).map(|file| file.len()).unwrap_or_default();
            if length == number { Ok(()) } else { Err(length) }
        })
        .await;
    };
    starts(1).await;
    let stray = pod.directory.join("node_modules/stray");
    std::fs::write(&stray, "").unwrap();
    assert_eq!(pod.project("POST", "WorkspaceStatus/restart").send().await.unwrap().status(), 204);
    starts(2).await;
    assert!(stray.exists());
    assert_eq!(pod.project("POST", "WorkspaceStatus/reinstall").send().await.unwrap().status(), 204);
    starts(3).await;
    assert!(!stray.exists() && pod.directory.join("node_modules/loopback").is_dir());
    // A change of the project file alone is nothing to the app.
    let save = pod.project("PATCH", "Projects").json(&json!({"id": "al-dev", "name": "other"}));
    assert_eq!(save.send().await.unwrap().status(), 200);
    pod.write(json!({"server": {"other.js": "// a change\n"}})).await;
    starts(4).await;
}
