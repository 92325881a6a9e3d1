//! The sls-api's container over the real `functions` repository.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use lb_http::auth::Rule;
use lb_pod::sls_api::{ROUTES, Server, Settings, VARIABLES};
use lb_testkit::eventually;
use lb_testkit::matrix;
use lb_vocab::Secret;
use lb_vocab::settings::Reader;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{World, answer, repo, too_large, user};

const MATRIX: &str = include_str!("sls.txt");
const ROLES: [&str; 9] =
    ["none", "other", "functions", "reader", "writer", "owner", "admin", "pod-al", "operator"];

/// al's sls-api, until it is dropped.
struct Sls {
    address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), lb_pod::PodError>>,
    http: reqwest::Client,
    tokens: BTreeMap<String, Secret>,
}

impl Drop for Sls {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    fn functions(&self) -> String {
        format!("http://{}/customer-al/functions.git", self.git_api)
    }

    async fn git_of(&self, name: &str) -> lb_testkit::git::Git {
        let token = self.git().create_token(&user(name), "sls").await.unwrap();
        lb_testkit::git::Git::new().with_token(&user(name).to_string(), token.reveal())
    }

    async fn sls(&self) -> Sls {
        // Of `functions` an sls-api is a writer, which a workspace is not.
        let mut environment = self.pod_environment(&[("GIT_URL", &self.functions())]);
        let tokens = self.directory.path().join("sls-identity");
        std::fs::create_dir_all(&tokens).unwrap();
        for audience in ["git-api", "configstore"] {
            std::fs::write(tokens.join(audience), "0123456789abcdef-pod-sls\n").unwrap();
        }
        environment.extend(
            [
                ("LB_TOKENS_DIR", tokens.display().to_string()),
                ("LB_CLONE_DIR", self.directory.path().join("functions").display().to_string()),
                ("SLS_API_LISTEN", "127.0.0.1:0".to_owned()),
                ("LB_TARGET_NAMESPACE", "tenants".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let mut reader = Reader::new(&environment);
        let settings = Settings::read(&mut reader);
        let settings = reader.finish(settings).unwrap().0.unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::start(&settings, &self.clock.clock(), shutdown.clone()).await.unwrap();
        let address = server.address().unwrap();
        let mut tokens = BTreeMap::new();
        for role in &ROLES[1..] {
            tokens.insert((*role).to_owned(), self.token(role).await);
        }
        let running = tokio::spawn(server.run());
        Sls { address, shutdown, running, http: self.http.clone(), tokens }
    }
}

impl Sls {
    fn request(&self, role: &str, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.address));
        if role == "none" { request } else { request.bearer_auth(self.tokens[role].reveal()) }
    }

    /// As frank, who administers `functions`.
    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        answer(self.request("functions", method, path).json(&body)).await
    }

    async fn pushed(&self) {
        eventually("everything is pushed", || async {
            let (_, ping) = answer(self.request("none", "GET", "/ping")).await;
            if ping["unpushed"] == 0 { Ok(()) } else { Err(ping) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_made_changed_and_removed_and_git_has_it() {
    let world = World::new().await;
    let sls = world.sls().await;
    assert_eq!(sls.ask("GET", "/service", json!({})).await, (200, json!([])));
    let new = json!({"name": "hello", "env": "nodejs", "version": "8", "lunchbadger": {"id": "f-7"}});
    let (status, made) = sls.ask("POST", "/service", new.clone()).await;
    assert_eq!(status, 200, "{made}");
    let function = json!({
        "handler": "handler.hello",
        "labels": {"producer": "al", "id": "f-7", "env": "dev", "app": "kubeless-fn"},
    });
    let serverless = json!({
        "service": "hello",
        "provider": {"name": "kubeless", "runtime": "nodejs:8", "namespace": "tenants"},
        "plugins": ["serverless-kubeless"],
        "functions": {"fn-al-dev-hello": function},
        "lunchbadger": {"id": "f-7"},
    });
    assert_eq!(made["serverless"], serverless);
    assert!(made["files"]["handler.js"].is_string() && made["files"]["package.json"].is_string(), "{made}");
    assert_eq!(sls.ask("POST", "/service", new).await.0, 409);

    let mut changed = serverless.clone();
    changed["functions"]["fn-al-dev-hello"]["handler"] = json!("handler.other");
    let files =
        json!({"handler.js": "exports.other = () => 1;\n", "lib": {"a.js": "1"}, "package.json": null});
    let (status, put) =
        sls.ask("PUT", "/service/hello", json!({"serverless": changed, "files": files})).await;
    assert_eq!(status, 200, "{put}");
    let shown = json!({"handler.js": "exports.other = () => 1;\n", "lib": {"a.js": "1"}});
    assert_eq!(put, json!({"serverless": changed, "files": shown}));
    assert_eq!(sls.ask("GET", "/service/hello", json!({})).await, (200, put.clone()));
    assert_eq!(sls.ask("GET", "/service", json!({})).await, (200, json!([put])));

    sls.pushed().await;
    let clone = world.git_of("frank").await.clone_of(&world.functions()).await;
    assert!(clone.read("hello/serverless.yml").contains("handler: handler.other"));
    assert_eq!(clone.read("hello/lib/a.js"), "1");
    let log = clone.run(&["log", "-1", "--format=%an <%ce> %s"]).await;
    assert_eq!(log, "customer-frank <support@lunchbadger.com> LunchBadger: Changes in functions (hello)");

    assert_eq!(sls.ask("DELETE", "/service/hello", json!({})).await, (200, json!({"msg": "REMOVED"})));
    assert_eq!(sls.ask("DELETE", "/service/hello", json!({})).await.1["msg"], "ALREADY_REMOVED");
    assert_eq!(sls.ask("GET", "/service/hello", json!({})).await.0, 404);
    assert_eq!(sls.ask("PUT", "/service/hello", json!({"serverless": {}})).await.0, 404);
    for (name, env, version) in [("one", "python", "3.14"), ("two", "go", "1.10")] {
        let new = json!({"name": name, "env": env, "version": version});
        assert_eq!(sls.ask("POST", "/service", new).await.0, 200, "{env}");
    }
    assert_eq!(sls.ask("DELETE", "/service", json!({})).await.1["msg"], "REMOVED");
    assert_eq!(sls.ask("GET", "/service", json!({})).await.1, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_is_what_functions_are_deployed_from() {
    let world = World::new().await;
    let sls = world.sls().await;
    let (status, refused) =
        sls.ask("POST", "/service", json!({"name": "x", "env": "cobol", "version": "1"})).await;
    assert_eq!(status, 422, "{refused}");
    let told = refused["error"]["message"].as_str().unwrap();
    let known = told.split("there are ").nth(1).unwrap();
    let mut count = 0;
    for (env, versions) in known.split("; ").map(|runtime| runtime.split_once(' ').unwrap()) {
        for version in versions.split(", ") {
            let name = format!("x{count}");
            let new = json!({"name": name, "env": env, "version": version});
            let (status, made) = sls.ask("POST", "/service", new).await;
            assert_eq!(status, 200, "{env} {version}: {made}");
            assert_eq!(made["serverless"]["provider"]["runtime"], format!("{env}:{version}"));
            assert_eq!(made["files"].as_object().unwrap().len(), 2, "{env} {version}: {made}");
            // It had no error where functions are deployed from, or it was refused. Written back nothing changes.
            let (status, put) = sls.ask("PUT", &format!("/service/{name}"), made.clone()).await;
            assert_eq!((status, put), (200, made), "{env} {version}");
            count += 1;
        }
    }
    assert!(count >= 18, "{count} templates");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_and_changes_nothing() {
    let world = World::new().await;
    let clone = world.git_of("frank").await.init(&world.functions()).await;
    clone.write("broken/serverless.yml", "service: [\n").write("broken/handler.js", "1");
    let good = "# Mine.\nservice: good\nprovider: {runtime: \"nodejs:8\"}\nfunctions:\n  fn-al-dev-good: {handler: handler.f}\n";
    clone.write("good/serverless.yml", good).write(".tool/x", "y");
    clone.commit_and_push("begin").await;
    let sls = world.sls().await;
    let (_, list) = sls.ask("GET", "/service", json!({})).await;
    let problem = list[0]["problem"].as_str().unwrap();
    assert!(problem.contains("broken/serverless.yml") && list[0]["files"]["handler.js"] == "1", "{list}");
    assert_eq!((list.as_array().unwrap().len(), &list[1]["serverless"]["service"]), (2, &json!("good")));
    for (method, path, body, word) in [
        ("POST", "/service", json!({"env": "nodejs", "version": "8"}), "name"),
        ("POST", "/service", json!({"name": "../x", "env": "nodejs", "version": "8"}), "../x"),
        ("POST", "/service", json!({"name": "A_b", "env": "nodejs", "version": "8"}), "name"),
        ("POST", "/service", json!({"name": "n".repeat(70), "env": "nodejs", "version": "8"}), "name"),
        ("POST", "/service", json!({"name": "x", "env": "nodejs", "version": "7"}), "nodejs 6, 8"),
        ("POST", "/service", json!({"name": "x", "env": "nodejs", "version": []}), "version"),
        (
            "POST",
            "/service",
            json!({"name": "x", "env": "nodejs", "version": "8", "lunchbadger": 1}),
            "lunchbadger",
        ),
        ("PUT", "/service/good", json!({}), "serverless"),
        ("PUT", "/service/good", json!({"serverless": "service: x"}), "serverless"),
        ("PUT", "/service/good", json!({"serverless": {"service": "good"}}), "functions"),
        ("PUT", "/service/good", json!({"serverless": {"functions": {"f": {}}}}), "handler"),
        ("PUT", "/service/good", json!({"serverless": {}, "files": []}), "files"),
        (
            "PUT",
            "/service/good",
            json!({"serverless": {}, "files": {"serverless.yml": ""}}),
            "serverless.yml",
        ),
        ("PUT", "/service/good", json!({"serverless": {}, "files": {"..": {"x": "y"}}}), ".."),
        ("PUT", "/service/good", json!({"serverless": {}, "files": {".git": {"x": "y"}}}), ".git"),
    ] {
        let (status, told) = sls.ask(method, path, body.clone()).await;
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(word), "{method} {path} {body}: {status} {told}");
    }
    assert_eq!(sls.ask("PUT", "/service/good", json!([])).await.0, 400);
    assert_eq!(sls.ask("GET", "/service", json!({})).await.1, list, "nothing changed");
    for path in ["/service/.tool", "/service/good%2F..", "/service/..", "/service/nobody"] {
        let (status, told) = sls.ask("DELETE", path, json!({})).await;
        assert!(status == 404 || told["msg"] == "ALREADY_REMOVED", "{path}: {status} {told}");
    }
    assert_eq!(sls.ask("GET", "/service", json!({})).await.1, list, "nothing is gone");
    // What stands there and is not changed keeps its text.
    let mut mine = list[1].clone();
    mine["serverless"]["lunchbadger"] = json!({"id": "1"});
    assert_eq!(sls.ask("PUT", "/service/good", mine).await.0, 200);
    sls.pushed().await;
    let text = world.git_of("frank").await.clone_of(&world.functions()).await.read("good/serverless.yml");
    assert!(text.starts_with(good) && text.len() > good.len(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_push_is_there_within_a_moment_and_a_term_pushes_what_was_saved() {
    let world = World::new().await;
    let mut sls = world.sls().await;
    let clone = world.git_of("frank").await.init(&world.functions()).await;
    clone.write("theirs/serverless.yml", "service: theirs\n").commit_and_push("theirs").await;
    eventually("it is here", || async {
        let (status, told) = sls.ask("GET", "/service/theirs", json!({})).await;
        if status == 200 { Ok(()) } else { Err(told) }
    })
    .await;
    let new = json!({"name": "ours", "env": "ruby", "version": "3.4"});
    assert_eq!(sls.ask("POST", "/service", new).await.0, 200);
    sls.shutdown.cancel();
    (&mut sls.running).await.unwrap().unwrap();
    let clone = world.git_of("frank").await.clone_of(&world.functions()).await;
    assert!(
        clone.read("ours/handler.rb").contains("hello")
            && clone.read("theirs/serverless.yml").contains("theirs")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_somebody_broke_is_reported_and_left_alone() {
    let world = World::new().await;
    let clone = world.git_of("frank").await.init(&world.functions()).await;
    let good = "service: hello\nprovider: {runtime: \"nodejs:8\"}\nfunctions: {fn-al-dev-hello: {handler: handler.f}}\n";
    clone.write("hello/serverless.yml", good).write("hello/handler.js", "1").write("bare/x", "y");
    clone.commit_and_push("begin").await;
    let sls = world.sls().await;
    let (_, before) = sls.ask("GET", "/service/hello", json!({})).await;
    let reported = async |word: &str| {
        eventually("it is reported", || async {
            let (_, told) = sls.ask("GET", "/service/hello", json!({})).await;
            let problem = told["problem"].as_str().unwrap_or_default();
            if problem.contains("hello/serverless.yml") && problem.contains(word) {
                Ok(())
            } else {
                Err(told)
            }
        })
        .await;
    };
    let (bomb, long) = (format!("a: {}", "[".repeat(5000)), format!("a: {}\n", "x".repeat(300 << 10)));
    for (broken, word) in [
        (&b"service: [\n"[..], "YAML"),
        (b"service: h\xff\n", "UTF-8"),
        (b"<<<<<<< HEAD\nservice: a\n=======\nservice: b\n>>>>>>> theirs\n", "merge"),
        (bomb.as_bytes(), "YAML"),
        (long.as_bytes(), "bytes"),
    ] {
        clone.write("hello/serverless.yml", broken).commit_and_push(word).await;
        reported(word).await;
        let (status, told) = sls.ask("PUT", "/service/hello", before.clone()).await;
        assert_eq!((status, &told["error"]["code"]), (422, &json!("SERVICE_UNREADABLE")), "{word}: {told}");
        assert_eq!(sls.ask("GET", "/service/bare", json!({})).await.0, 200, "others are served");
    }
    std::fs::remove_file(clone.path().join("hello/serverless.yml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", clone.path().join("hello/serverless.yml")).unwrap();
    clone.commit_and_push("a link").await;
    reported("no file").await;
    let (_, told) = sls.ask("PUT", "/service/hello", before.clone()).await;
    assert_eq!(told["error"]["code"], "SERVICE_UNREADABLE");
    // One that has none gets one, and the broken one may go.
    let bare = json!({"serverless": {"functions": {"f": {"handler": "x.f", "runtime": "nodejs:8"}}}});
    assert_eq!(sls.ask("PUT", "/service/bare", bare).await.0, 200);
    assert_eq!(sls.ask("DELETE", "/service/hello", json!({})).await.1["msg"], "REMOVED");
    sls.pushed().await;
    let clone = world.git_of("frank").await.clone_of(&world.functions()).await;
    assert!(clone.read("bare/serverless.yml").contains("x.f") && !clone.path().join("hello").exists());
}

/// An sls-api with one service, which has links beside its files.
async fn linked(world: &World) -> Sls {
    let clone = world.git_of("frank").await.init(&world.functions()).await;
    let good = "functions: {f: {handler: handler.f, runtime: \"nodejs:8\"}}\n";
    clone.write("good/serverless.yml", good).write("good/dir/inner", "x").write("outside", "x");
    std::os::unix::fs::symlink("../outside", clone.path().join("good/link")).unwrap();
    std::os::unix::fs::symlink("/etc", clone.path().join("good/etc")).unwrap();
    clone.commit_and_push("begin").await;
    world.sls().await
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_of_services_are_refused() {
    let world = World::new().await;
    let sls = linked(&world).await;
    let before = sls.ask("GET", "/service", json!({})).await;
    let long = "n".repeat(5000);
    for name in [
        "..",
        ".",
        "",
        "a/b",
        "../x",
        "/etc",
        "a\\b",
        ".git",
        ".x",
        "x.git",
        "node_modules",
        "ünïcode",
        "名前",
        "e\u{301}",
        "\u{202e}x",
        "nul\u{0}",
        "line\nend",
        "__proto__",
        "A",
        "-a",
        "a-",
        "a b",
        "%2e%2e",
        &long,
    ] {
        let new = json!({"name": name, "env": "nodejs", "version": "8"});
        let (status, told) = sls.ask("POST", "/service", new).await;
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.len() < 800, "{name:?}: {status} {told}");
    }
    let serverless = json!({"functions": {"f": {"handler": "handler.f", "runtime": "nodejs:8"}}});
    for path in [
        "..%2F..%2Fetc",
        "%2e%2e",
        ".git",
        "good%2F..%2Fgood",
        "good%2Fdir",
        "outside",
        "g%C3%BCt",
        "%00",
        "%ff",
        "good%00",
        "GOOD",
        long.as_str(),
    ] {
        for method in ["GET", "PUT", "DELETE"] {
            let url = format!("/service/{path}");
            let (status, told) = sls.ask(method, &url, json!({"serverless": serverless})).await;
            let kept = told["msg"] == "ALREADY_REMOVED" || [400, 404, 405, 422].contains(&status);
            assert!(kept && told.to_string().len() < 1000, "{method} {path}: {status} {told}");
        }
    }
    assert_eq!(sls.ask("GET", "/service", json!({})).await, before, "nothing changed");
    assert_eq!(answer(sls.request("none", "GET", "/ping")).await.1["unpushed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_trees_and_bodies_are_refused_whole() {
    let world = World::new().await;
    let sls = linked(&world).await;
    let before = sls.ask("GET", "/service", json!({})).await;
    let long = "n".repeat(5000);
    let serverless = json!({"functions": {"f": {"handler": "handler.f", "runtime": "nodejs:8"}}});
    for (files, name) in [
        (json!({"..": {"x": "y"}}), ".."),
        (json!({"a/b": "y"}), "a/b"),
        (json!({".git": {"hooks": {"post-commit": "#!/bin/sh"}}}), ".git"),
        (json!({"dir": "a file where a directory was"}), "dir"),
        (json!({"serverless.yml": {"x": "y"}}), "serverless.yml"),
        (json!({"link": "onto a link"}), "good/link"),
        (json!({"etc": {"passwd": "through a link"}}), "good/etc"),
        (json!({long.clone(): "y"}), "nnnn"),
    ] {
        let body = json!({"serverless": serverless, "files": files});
        let (status, told) = sls.ask("PUT", "/service/good", body).await;
        let message = told["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(name) && message.len() < 800, "{name}: {status} {told}");
    }
    let deep = (0..200).fold(json!("x"), |below, _| json!({ "d": below }));
    let wide: serde_json::Map<_, _> = (0..60_000).map(|n| (format!("k{n}"), json!(n))).collect();
    for hostile in [json!({"x": deep}), json!(wide), json!({"x": "y".repeat(1 << 20)})] {
        let mut hostile = hostile;
        hostile["functions"] = serverless["functions"].clone();
        let (status, told) = sls.ask("PUT", "/service/good", json!({"serverless": hostile})).await;
        assert!([400, 422].contains(&status) && told.to_string().len() < 1000, "{status} {told}");
    }
    for (method, path) in [("POST", "/service"), ("PUT", "/service/good")] {
        let request = sls.request("functions", method, path).body(vec![b' '; 100 << 20]);
        assert!(too_large(request).await, "{method} {path}");
    }
    assert_eq!(sls.ask("GET", "/service", json!({})).await, before, "nothing changed");
    assert_eq!(answer(sls.request("none", "GET", "/ping")).await.1["unpushed"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn saves_go_on_while_the_git_host_is_away() {
    let mut world = World::new().await;
    let sls = world.sls().await;
    let new = |name: &str| json!({"name": name, "env": "php", "version": "8.4"});
    assert_eq!(sls.ask("POST", "/service", new("one")).await.0, 200);
    sls.pushed().await;
    world.stop_git_api().await;
    assert_eq!(sls.ask("POST", "/service", new("two")).await.0, 200);
    assert_eq!(answer(sls.request("none", "GET", "/ping")).await.1["unpushed"], 1);
    world.start_git_api().await;
    sls.pushed().await;
    let clone = world.git_of("frank").await.clone_of(&world.functions()).await;
    assert!(clone.path().join("two/handler.php").exists());
}

fn rows() -> Vec<matrix::Row> {
    matrix::rows(MATRIX, ROLES.len())
}

#[test]
fn every_route_of_an_sls_api_has_its_row_and_every_row_its_route() {
    let own = ROUTES.iter().chain(lb_http::serve::ROUTES_BUT_PING);
    let mut existing: Vec<String> =
        own.clone().map(|route| format!("{} {}", route.method, route.path)).collect();
    let mut documented: Vec<String> =
        rows().iter().map(|row| format!("{} {}", row.method, row.path)).collect();
    existing.sort();
    documented.sort();
    assert_eq!(existing, documented);
    for route in own {
        let public = ["/ping", "/live", "/ready"].contains(&route.path);
        assert_eq!(route.rule == Rule::Public, public, "{}", route.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_gets_what_the_matrix_of_an_sls_api_says() {
    let world = World::new().await;
    let git = world.git();
    for (name, permission) in [
        ("carl", lb_http::contract::git_api::Permission::Read),
        ("dora", lb_http::contract::git_api::Permission::Write),
        ("erin", lb_http::contract::git_api::Permission::Admin),
    ] {
        let login = format!("customer-{name}");
        git.set_collaborator(&user("al"), &repo("functions"), &login, permission).await.unwrap();
    }
    let sls = world.sls().await;
    let mut wrong = Vec::new();
    for row in rows() {
        for (role, expected) in ROLES.iter().zip(&row.expected) {
            let request = sls.request(role, &row.method, &row.path.replace("{name}", "nobody"));
            let request =
                if row.method == "GET" { request } else { request.json(&json!({"serverless": {}})) };
            let got = answer(request).await.0;
            if got != *expected {
                wrong.push(format!("{} {} as {role}: {got}, expected {expected}", row.method, row.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_pod_is_given_what_the_sls_api_reads() {
    let names: Vec<&str> = VARIABLES.iter().map(|variable| variable.name).collect();
    for given in ["GIT_URL", "LB_PRODUCER", "LB_ENV", "LB_TARGET_NAMESPACE", "WATCH_URL"] {
        assert!(names.contains(&given), "{given}");
    }
}
