//! git-api and configstore over a real Gitea: webhooks end to end, what was renamed, and names that lead nowhere.

use hmac::Mac;
use lb_http::contract::ClientError;
use lb_http::contract::git_api::ChangeEvent;
use lb_http::contract::hook::keyed;
use lb_testkit::gitea::{ADMIN, Gitea, Options};
use serde_json::{Value, json};

use crate::events::{next, pushed};
use crate::world::{World, answer, hook_secret, raw_get, token, user};

/// Its users have the prefix of everybody's, so this Gitea is the test's own.
async fn world() -> Option<(Gitea, World)> {
    lb_testkit::skip::needs_gitea()?;
    let real = Gitea::launch(Options::default()).await.unwrap();
    let world = World::over_gitea(&real).await;
    world.configstore().create(&"al".parse().unwrap()).await.unwrap();
    Some((real, world))
}

async fn api(real: &Gitea, method: reqwest::Method, path: &str, body: Value) -> Value {
    let answer = real.api(method, path).json(&body).send().await.unwrap().error_for_status().unwrap();
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
}

async fn counted(world: &World) -> Value {
    let url = format!("http://{}/hooks", world.configstore);
    answer(world.http.get(url).bearer_auth(token("operator").reveal())).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_at_gitea_arrives_through_its_webhook() {
    let Some((real, world)) = world().await else { return };
    // Again: each repository keeps one webhook.
    world.configstore().create(&"al".parse().unwrap()).await.unwrap();
    for repo in ["dev", "functions"] {
        let path = format!("repos/customer-al/{repo}/hooks");
        let hooks = api(&real, reqwest::Method::GET, &path, Value::Null).await;
        let url = hooks[0]["config"]["url"].as_str().unwrap();
        let expected = format!("http://{}/hook?repository=customer-al%2F{repo}&key=", world.configstore);
        assert!(hooks.as_array().unwrap().len() == 1 && url.starts_with(&expected), "{hooks}");
        assert!(!hooks.to_string().contains(hook_secret(&format!("customer-al/{repo}")).reveal()));
    }
    let cursor = world.git("system").changes(None).await.unwrap().cursor;
    let mut changes = world.git("system").change_stream(Some(&cursor)).await.unwrap();
    let mut producers = world.configstore().change_stream(&"al".parse().unwrap()).await.unwrap();
    let clone = lb_testkit::git::Git::new().with_token(ADMIN, real.admin_token());
    let clone = clone.init(&real.clone_url("customer-al", "dev")).await;
    let (commit, _) = clone.write("a", "1").commit_and_push("first").await;
    let ChangeEvent::Change(change) = next(&mut changes).await else { panic!("a change") };
    assert_eq!(pushed(&change).as_deref(), Some(commit.as_str()));
    assert_eq!(next(&mut producers).await.after, commit);
    let after = counted(&world).await;
    assert_eq!((&after["accepted"], &after["refused"]), (&json!(1), &json!(0)), "{after}");
    assert_eq!(after["lastAccepted"]["repository"], "customer-al/dev");

    let deliver = async |body: &str, signature: &str| {
        let url = format!("http://{}/hook?repository=customer-al/dev&key=x", world.configstore);
        let request = world.http.post(url).header("x-gitea-signature", signature);
        answer(request.body(body.to_owned())).await.0
    };
    let mut mac = keyed(&hook_secret("customer-al/dev"));
    mac.update(b"{}");
    let signature = hex::encode(mac.finalize().into_bytes());
    assert_eq!(deliver("{\"forged\":1}", &signature).await, 401);
    assert_eq!((deliver("{}", &signature).await, deliver("{}", &signature).await), (200, 200));
    let after = counted(&world).await;
    assert_eq!((&after["accepted"], &after["refused"]), (&json!(3), &json!(1)), "{after}");
    let (second, _) = clone.write("a", "2").commit_and_push("second").await;
    let ChangeEvent::Change(change) = next(&mut changes).await else { panic!("a change") };
    assert_eq!(pushed(&change).as_deref(), Some(second.as_str()), "the replayed deliveries told nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gitea_moved_is_a_409_and_odd_names_reach_nothing() {
    let Some((real, world)) = world().await else { return };
    for path in [
        "/users/customer/..%2fsite-admin",
        "/users/customer/al%2f..%2f..%2fadmin/repos",
        "/users/customer/al/repos/dev%2f..%2ffunctions/lunchbadger.json",
        "/users/customer/al/repos/../../../admin/users",
        "/history/customer/..%2fsite-admin/dev?ref=refs/heads/master",
        "/site-admin/dev.git/info/refs?service=git-upload-pack",
        "/customer-al%2f..%2fsite-admin/dev.git/info/refs?service=git-upload-pack",
    ] {
        let (status, text) = raw_get(world.git_api, path, "operator").await;
        assert!(status == 400 && text.contains("BAD_REQUEST"), "{path}: {text}");
    }
    // The administrator is nobody's user, whoever's name it looks like.
    for role in ["owner", "writer", "pod-al", "pod-gateway"] {
        for path in ["", "/repos", "/myrepos", "/ssh", "/repos/dev/collaborators", "/repos/dev/x"] {
            let request = world.request(role, "GET", &format!("/users/site/admin{path}"));
            assert_eq!(answer(request).await.0, 403, "{role} {path}");
        }
        let request = world.request(role, "POST", "/users/site/admin/tokens").json(&json!({"name": "x"}));
        assert_eq!(answer(request).await.0, 403, "{role}");
    }
    assert!(world.git("system").user(&user("al")).await.unwrap().is_some());
    let rename = json!({"new_username": "customer-ann"});
    api(&real, reqwest::Method::POST, "admin/users/customer-al/rename", rename).await;
    let moved = |error: ClientError| {
        assert!(matches!(error, ClientError::Refused { status: 409, .. }), "{error}");
    };
    moved(world.git("system").user(&user("al")).await.unwrap_err());
    moved(world.git("system").repositories(&user("al")).await.unwrap_err());
    let (status, body) = world.get("/history/customer/al/dev?ref=refs/heads/master").await;
    assert_eq!((status, &body["error"]["code"]), (409, &json!("MOVED")), "{body}");
}
