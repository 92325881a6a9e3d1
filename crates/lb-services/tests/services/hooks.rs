//! Webhooks that are amiss are put right by the system itself, and lead where they may.

use std::time::Duration;

use lb_http::contract::git_api::HookState;
use lb_testkit::clock::ManualClock;
use lb_testkit::eventually;
use lb_testkit::git::{Clone, Git};
use lb_testkit::gitea::{ADMIN, Gitea, Options};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{World, answer, repo, token, user};

/// Longer than a delivery may take, and than a delivery counts.
const LONG: Duration = Duration::from_secs(61);

async fn counted(world: &World) -> Value {
    let url = format!("http://{}/hooks", world.configstore);
    answer(world.http.get(url).bearer_auth(token("operator").reveal())).await.1
}

/// Waits until the configstore counted so much: `/accepted`, `/repairs/waiting`.
async fn counts(world: &World, pointer: &str, expected: u64) {
    eventually(pointer, || async {
        let counted = counted(world).await;
        if counted.pointer(pointer) == Some(&json!(expected)) { Ok(()) } else { Err(counted.to_string()) }
    })
    .await;
}

struct Scene {
    real: Gitea,
    world: World,
    time: ManualClock,
    al: Clone,
    commits: u32,
}

impl Scene {
    async fn new() -> Option<Self> {
        lb_testkit::skip::needs_gitea()?;
        let (real, time) = (Gitea::launch(Options::default()).await.unwrap(), ManualClock::default());
        let world = World::over_gitea_with(&real, None, time.clock(), &[]).await;
        world.configstore().create(&"al".parse().unwrap()).await.unwrap();
        let git = Git::new().with_token(ADMIN, real.admin_token());
        let al = git.init(&real.clone_url("customer-al", "dev")).await;
        let mut scene = Self { real, world, time, al, commits: 0 };
        scene.sweep().await;
        scene.push().await;
        counts(&scene.world, "/accepted", 1).await;
        Some(scene)
    }

    async fn api(&self, method: Method, path: &str, body: Value) -> Value {
        let sent = self.real.api(method, path).json(&body).send().await.unwrap();
        let bytes = sent.error_for_status().unwrap().bytes().await.unwrap();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    async fn hooks(&self, name: &str) -> Value {
        self.api(Method::GET, &format!("repos/customer-{name}/dev/hooks"), Value::Null).await
    }

    /// Directly at Gitea.
    async fn push(&mut self) {
        self.commits += 1;
        self.al.write("a", self.commits.to_string()).commit_and_push("one more").await;
    }

    /// What the Actualizer asks every second.
    async fn sweep(&self) {
        self.world.git("system").changes(None).await.unwrap();
    }

    /// A push that no accepted delivery announces; then the grace passes.
    async fn unannounced(&mut self) {
        self.time.advance(LONG);
        self.push().await;
        let waits = || async {
            // Gitea stamps the push a moment after it answered it.
            self.sweep().await;
            let counted = counted(&self.world).await;
            if counted["repairs"]["waiting"] == 1 { Ok(()) } else { Err(counted.to_string()) }
        };
        eventually("the push is seen and nothing is heard of it", waits).await;
        self.time.advance(LONG);
    }

    /// The repository has the one webhook that it should have, and it delivers.
    async fn is_good(&mut self, accepted: u64) {
        let hooks = self.hooks("al").await;
        let url = hooks[0]["config"]["url"].as_str().unwrap_or_default();
        let expected = format!("http://{}/hook?repository=customer-al%2Fdev&key=", self.world.configstore);
        assert!(hooks.as_array().unwrap().len() == 1 && url.starts_with(&expected), "{hooks}");
        assert_eq!(hooks[0]["active"], true);
        self.push().await;
        counts(&self.world, "/accepted", accepted).await;
        assert_eq!(counted(&self.world).await["repairs"]["waiting"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_at_gitea_that_does_not_announce_a_push_is_put_right() {
    let Some(mut scene) = Scene::new().await else { return };
    let id = scene.hooks("al").await[0]["id"].clone();
    scene.api(Method::DELETE, &format!("repos/customer-al/dev/hooks/{id}"), Value::Null).await;
    scene.unannounced().await;
    counts(&scene.world, "/repairs/repaired", 1).await;
    scene.is_good(2).await;

    let id = scene.hooks("al").await[0]["id"].clone();
    let inactive = json!({"active": false, "events": ["push"]});
    scene.api(Method::PATCH, &format!("repos/customer-al/dev/hooks/{id}"), inactive).await;
    scene.unannounced().await;
    counts(&scene.world, "/repairs/repaired", 2).await;
    scene.is_good(3).await;

    // With another secret it looks as it should.
    let hook = scene.hooks("al").await[0].clone();
    scene.api(Method::DELETE, &format!("repos/customer-al/dev/hooks/{}", hook["id"]), Value::Null).await;
    let config = json!({"url": hook["config"]["url"], "content_type": "json", "secret": "another"});
    let other = json!({"type": "gitea", "active": true, "events": ["push"], "config": config});
    scene.api(Method::POST, "repos/customer-al/dev/hooks", other).await;
    scene.unannounced().await;
    counts(&scene.world, "/repairs/renewed", 1).await;
    let after = counted(&scene.world).await;
    assert_eq!(after["lastRefused"]["repository"], "customer-al/dev", "{after}");
    assert_eq!(after["repairs"]["lastRenewed"]["repository"], "customer-al/dev", "{after}");
    scene.is_good(4).await;

    let bob =
        json!({"username": "customer-bob", "email": "bob@customer.com", "password": "Aa1!aaaaaaaaaaaa"});
    scene.api(Method::POST, "admin/users", bob).await;
    scene.api(Method::POST, "admin/users/customer-bob/repos", json!({"name": "dev", "private": true})).await;
    scene.sweep().await;
    counts(&scene.world, "/repairs/waiting", 1).await;
    scene.time.advance(LONG);
    counts(&scene.world, "/repairs/repaired", 3).await;
    assert_eq!(scene.hooks("bob").await.as_array().unwrap().len(), 1, "made at Gitea itself");
    let commit = scene.al.run(&["rev-parse", "HEAD"]).await;
    let put = scene.world.request("system", "PUT", &format!("/statuses/customer/al/dev/{commit}"));
    let long = json!({"context": "c", "state": "error", "description": "é".repeat(200)});
    assert_eq!(answer(put.json(&long)).await, (200, json!({"kept": true})));
    let path = format!("repos/customer-al/dev/statuses/{commit}");
    let status = scene.api(Method::GET, &path, Value::Null).await[0].clone();
    let description = status["description"].as_str().unwrap();
    assert!(
        description.len() <= 255 && description.ends_with("é…") && status["status"] == "error",
        "{status}"
    );
    let metrics = scene.world.http.get(format!("http://{}/metrics", scene.world.configstore));
    let metrics = metrics.bearer_auth(token("operator").reveal()).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("lunchbadger_hook_repairs_total{result=\"repaired\"} 3"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_delivers_no_webhooks_is_asked_for_one_once() {
    let time = ManualClock::default();
    let world = World::over(None, time.clock(), &[]).await;
    // At the host itself, so that the configstore did not register a webhook.
    world.host.create_user(&user("al")).await.unwrap();
    world.host.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
    counts(&world, "/repairs/waiting", 1).await;
    time.advance(LONG);
    counts(&world, "/repairs/waiting", 0).await;
    world.person("al").await.init(&world.url("al", "dev")).await.write("a", "1").commit_and_push("x").await;
    let mut producer = world.configstore().change_stream(&"al".parse().unwrap()).await.unwrap();
    let clone = world.person("al").await.clone_of(&world.url("al", "dev")).await;
    clone.write("a", "2").commit_and_push("y").await;
    crate::events::next(&mut producer).await;
    let after = counted(&world).await;
    let told = &after["repairs"];
    assert_eq!((&told["waiting"], &told["repaired"], &told["failed"]), (&json!(0), &json!(0), &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_lead_to_public_addresses_and_to_named_hosts() {
    let world = World::with(&[("HOOK_ALLOWED_HOSTS", "192.168.0.0/16,hooks.example")]).await.populate().await;
    for (url, expected) in [
        ("http://configstore.default/hook", None),
        ("http://8.8.8.8/hook", None),
        ("http://192.168.7.7/hook", None),
        ("https://hooks.example/x", None),
        ("http://127.0.0.1/hook", Some("`127.0.0.1` is refused: that address is loopback")),
        ("http://0x7f.1/hook", Some("`127.0.0.1` is refused")),
        ("http://[::ffff:169.254.169.254]/latest/meta-data", Some("that address is link-local")),
        ("http://localhost/hook", Some("`localhost` is refused")),
        ("http://al:hunter2@8.8.8.8/hook", Some("a name or password")),
        ("http://nowhere.invalid/hook", Some("`nowhere.invalid` is refused: its addresses cannot be found")),
        ("gopher://8.8.8.8/", Some("must be an http or https URL")),
    ] {
        let put = world.request("system", "PUT", "/users/customer/al/repos/dev/hook");
        let (status, body) = answer(put.json(&json!({"callbackUrl": url}))).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        match expected {
            None => assert_eq!((status, &body["ok"]), (200, &json!(true)), "{url}: {body}"),
            Some(part) => {
                assert!(status == 400 && message.contains(part), "{url}: {body}");
                assert!(!message.contains("hunter2"), "{message}");
            }
        }
    }
    let refused = "http://127.0.0.1/hook".parse().unwrap();
    let error =
        world.git("system").ensure_hook(&user("al"), &repo("dev"), &refused, false).await.unwrap_err();
    assert!(error.to_string().contains("HOOK_ALLOWED_HOSTS"), "{error}");
    let fine = "http://configstore.default/hook".parse().unwrap();
    let found = world.git("system").ensure_hook(&user("al"), &repo("dev"), &fine, true).await.unwrap();
    assert_eq!(found, HookState::Undelivered);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_status_is_checked_and_kept_where_the_host_has_such_a_thing() {
    let world = World::populated().await;
    let (id, good) =
        ("1".repeat(40), json!({"context": "lunchbadger/dev", "state": "success", "description": ""}));
    let with = |key: &str, value: &str| {
        let mut body = good.clone();
        body[key] = value.into();
        body
    };
    for (repository, commit, body, expected) in [
        ("dev", &*id, good.clone(), 200),
        ("dev", "master", good.clone(), 400),
        ("dev", &id[1..], good.clone(), 400),
        ("nothing", &id, good.clone(), 404),
        ("dev", &id, with("state", "pending"), 400),
        ("dev", &id, with("file", "../x"), 400),
        ("dev", &id, json!({}), 400),
    ] {
        let put = world.request("system", "PUT", &format!("/statuses/customer/al/{repository}/{commit}"));
        let (status, answer) = answer(put.json(&body)).await;
        assert_eq!(status, expected, "{repository} {commit} {body}: {answer}");
        if status == 200 {
            assert_eq!(answer, json!({"kept": false}), "the embedded host says so");
        }
    }
}
