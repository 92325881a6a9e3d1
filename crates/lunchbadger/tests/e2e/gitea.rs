//! The same over a real Gitea: what is pushed there, through git-api or directly, is what stands.

use hmac::Mac;
use lb_http::contract::hook::{HookKey, keyed};
use lb_testkit::eventually;
use lb_testkit::git::Git;
use lb_testkit::gitea::{Gitea as RealGitea, Options};
use lb_vocab::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::project::{Gateway, file, push, serverless, standing};
use crate::proxy::{Fault, Proxy};
use crate::world::World;

/// A Gitea of the test's own, and the file of its admin's token.
async fn gitea() -> Option<(RealGitea, String)> {
    lb_testkit::skip::needs_gitea()?;
    let gitea = RealGitea::launch(Options::default()).await.expect("a Gitea");
    let token_file = gitea.admin_token_file().to_string_lossy().into_owned();
    Some((gitea, token_file))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_at_gitea_is_applied_and_collaborators_change_it_while_they_may() {
    let Some((gitea, token_file)) = gitea().await else { return };
    let world = World::start(&[("GITEA_HOST", gitea.url()), ("GITEA_TOKEN_FILE", &token_file)]).await;
    let al = world.producer("al").await;
    let main = Gateway::new("g1", "main", &["/a"]);
    let remote = push(&al, std::slice::from_ref(&main)).await;
    assert!(remote.iter().any(|line| line.contains("+ gateway main")), "{remote:?}");
    world.applied(&al).await;

    let login = format!("customer-{}", al.name);
    let token = world.ok(&["producers", "token", &al.name]).await;
    let token = token.split_whitespace().last().expect("a token").to_owned();
    let direct = Git::new().with_token(&login, &token).clone_of(&gitea.clone_url(&login, "dev")).await;
    direct.write("lunchbadger.json", file(&al.name, &[Gateway::new("g1", "main", &["/direct"])], false));
    let (commit, _) = direct.commit_and_push("Directly").await;
    world.applied_at(&al.name, &commit).await;
    eventually("the webhook of the push was counted", || async {
        let hooks = world.get_as_operator(&format!("{}/hooks", world.configstore)).await;
        if hooks["accepted"].as_u64() > Some(0) { Ok(()) } else { Err(hooks.to_string()) }
    })
    .await;

    let bob = world.producer("bob").await;
    let bobs_token = world.ok(&["producers", "token", &bob.name]).await;
    let bobs_token = bobs_token.split_whitespace().last().expect("a token").to_owned();
    let bobs_login = format!("customer-{}", bob.name);
    let git = Git::new().with_token(&bobs_login, &bobs_token);
    let url = format!("{}/{login}/dev.git", world.git_api);
    let home = tempfile::tempdir().expect("a directory");
    assert!(!git.try_run(home.path(), &["clone", "--quiet", &url, "not-yet"]).await.status.success());
    let collaborator = format!("repos/{login}/dev/collaborators/{bobs_login}");
    let granted = gitea.api(Method::PUT, &collaborator).json(&json!({"permission": "write"})).send().await;
    granted.expect("reach Gitea").error_for_status().expect("make bob a collaborator");
    let clone = git.clone_of(&url).await;
    clone.write("lunchbadger.json", file(&al.name, &[Gateway::new("g1", "main", &["/bobs"])], false));
    let (commit, _) = clone.commit_and_push("A collaborator's").await;
    world.applied_at(&al.name, &commit).await;
    let ended = gitea.api(Method::DELETE, &collaborator).send().await;
    ended.expect("reach Gitea").error_for_status().expect("end bob's access");
    clone.write("more", "x");
    clone.commit("No longer").await;
    assert!(!clone.push().await.accepted);
}

/// What Gitea has about a commit, newest first.
async fn statuses(gitea: &RealGitea, login: &str, repo: &str, commit: &str) -> Vec<Value> {
    let path = format!("repos/{login}/{repo}/statuses/{commit}?sort=recentupdate");
    let answer = gitea.api(Method::GET, &path).send().await.expect("reach Gitea");
    let text = answer.error_for_status().expect("statuses").text().await.expect("a whole answer");
    serde_json::from_str(&text).expect("an array")
}

/// Waits until Gitea has this state of a commit as the only one; answers the status.
async fn fared(gitea: &RealGitea, login: &str, repo: &str, commit: &str, state: &str) -> Value {
    eventually(&format!("{state} at {repo} {commit}"), || async {
        let all = statuses(gitea, login, repo, commit).await;
        match &all[..] {
            [one] if one["status"] == state && one["context"] == "lunchbadger/dev" => Ok(one.clone()),
            _ => Err(json!(all).to_string()),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_at_gitea_tells_once_how_it_fared_and_where_it_is_to_be_mended() {
    let Some((gitea, token_file)) = gitea().await else { return };
    let proxy = Proxy::start(gitea.url());
    let settings = [
        ("GITEA_HOST", &*proxy.url),
        ("GITEA_TOKEN_FILE", &*token_file),
        ("GITEA_PUBLIC_URL", "https://git.example.com"),
    ];
    let world = World::start(&settings).await;
    let al = world.producer("al").await;
    let login = format!("customer-{}", al.name);
    let mended = file(&al.name, &[Gateway::new("g1", "main", &["/a"])], false);
    let broken = mended
        .replace("\\\"serviceEndpoint\\\":\\\"g1-service\\\"", "\\\"serviceEndpoint\\\":\\\"nowhere\\\"");
    assert_ne!(broken, mended);
    let line = 1 + broken.lines().position(|line| line.contains("nowhere")).expect("the project's line");
    al.dev.write("lunchbadger.json", &broken);
    let (first, _) = al.dev.commit_and_push("Lead nowhere").await;
    let failure = fared(&gitea, &login, "dev", &first, "failure").await;
    let link = format!("https://git.example.com/{login}/dev/src/commit/{first}/lunchbadger.json#L{line}");
    assert_eq!(failure["target_url"], link.as_str(), "{failure}");
    let description = failure["description"].as_str().expect("a description");
    assert!(
        description.starts_with("1 finding: dev/lunchbadger.json:") && description.len() <= 255,
        "{failure}"
    );

    al.dev.write("lunchbadger.json", &mended);
    let (second, _) = al.dev.commit_and_push("Mend it").await;
    let success = fared(&gitea, &login, "dev", &second, "success").await;
    assert_eq!(success["description"], "applied: 1 gateway");
    assert_eq!(success["target_url"], format!("https://git.example.com/{login}/dev/commit/{second}"));
    al.functions.write("hello/serverless.yml", serverless(&al.name, "hello"));
    al.functions.write("hello/handler.js", "module.exports = {}");
    let (function, _) = al.functions.commit_and_push("A function").await;
    let success = fared(&gitea, &login, "functions", &function, "success").await;
    assert_eq!(success["description"], "applied: 1 function");

    eventually("it is noted that the function's commit was told", || async {
        let status = world.resource(&al.name).await.ok_or("no LBProducer")?.status.unwrap_or_default();
        let told = status.environments.get("dev").is_some_and(|dev| dev.told.contains_key("functions"));
        if told { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    world.kill().await;
    world.resume().await;
    let bob = standing(&world, "bob").await;
    let commit = bob.dev.run(&["rev-parse", "HEAD"]).await;
    fared(&gitea, &format!("customer-{}", bob.name), "dev", &commit, "success").await;

    proxy.set(Fault::NoStatus);
    push(&al, &[Gateway::new("g1", "main", &["/b"])]).await;
    let third = al.dev.run(&["rev-parse", "HEAD"]).await;
    let asked = format!("POST /api/v1/repos/{login}/dev/statuses/{third}");
    let sent = || proxy.seen().iter().filter(|line| **line == asked).count();
    eventually(
        "Gitea is told and does not answer",
        async || if sent() > 0 { Ok(()) } else { Err("not yet") },
    )
    .await;
    world.applied(&al).await;
    push(&bob, &[Gateway::new("g1", "main", &["/b"])]).await;
    world.applied(&bob).await;
    assert!(statuses(&gitea, &login, "dev", &third).await.is_empty());
    proxy.set(Fault::None);
    fared(&gitea, &login, "dev", &third, "success").await;
    assert!(sent() > 1, "it was tried again");
    for (repo, commit) in [("dev", &first), ("dev", &second), ("functions", &function)] {
        let told = statuses(&gitea, &login, repo, commit).await;
        assert_eq!(told.len(), 1, "neither a restart nor silence tells anything again: {told:?}");
    }
}

/// A delivery as Gitea would send it: the configstore's answer.
async fn deliver(world: &World, key: &HookKey, repository: &str) -> u16 {
    let mut mac = keyed(&key.secret(repository));
    mac.update(b"{}");
    let client = reqwest::Client::new();
    let to = format!("{}/hook?repository={repository}", world.configstore);
    let signed = client.post(to).header("x-gitea-signature", hex::encode(mac.finalize().into_bytes()));
    signed.body("{}").send().await.expect("reach the configstore").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_repeated_out_of_order_or_lost_apply_nothing_twice_and_remove_nothing() {
    let Some((gitea, token_file)) = gitea().await else { return };
    let settings = [
        ("GITEA_HOST", gitea.url()),
        ("GITEA_TOKEN_FILE", &*token_file),
        ("HOOK_SECRET", "the-key-of-this-test"),
        ("HOOK_GRACE", "1000"),
    ];
    let world = World::start(&settings).await;
    let key = HookKey::new(Secret::new("the-key-of-this-test".to_owned()));
    let al = standing(&world, "al").await;
    let login = format!("customer-{}", al.name);
    let before = world.versions(&al.name).await;
    // As if all that ever was delivered came again, the newest first, and of repositories that are not there.
    for repository in ["functions", "dev", "dev", "gone", "functions", "dev"] {
        assert_eq!(deliver(&world, &key, &format!("{login}/{repository}")).await, 200);
    }
    assert_eq!(deliver(&world, &key, "customer-nobody/dev").await, 200);
    let other = HookKey::new(Secret::new("another".to_owned()));
    assert_eq!(deliver(&world, &other, &format!("{login}/dev")).await, 401);
    let bob = standing(&world, "bob").await;
    assert_eq!(world.versions(&al.name).await, before, "what is told again is not done again");

    // Lost: the webhook is gone, and the push is applied all the same.
    let hooks = format!("repos/{login}/dev/hooks");
    let listed = async || {
        let answer = gitea.api(Method::GET, &hooks).send().await.expect("reach Gitea");
        let text = answer.text().await.expect("a whole answer");
        serde_json::from_str::<Value>(&text).expect("webhooks")
    };
    let id = listed().await[0]["id"].clone();
    let gone = gitea.api(Method::DELETE, &format!("{hooks}/{id}")).send().await.expect("reach Gitea");
    gone.error_for_status().expect("delete the webhook");
    let token = world.ok(&["producers", "token", &al.name]).await;
    let token = token.split_whitespace().last().expect("a token").to_owned();
    let direct = Git::new().with_token(&login, &token).clone_of(&gitea.clone_url(&login, "dev")).await;
    let mut attempt = 0;
    // A delivery of before counts for a grace: until that is over a push says nothing.
    eventually("the webhook is back", || {
        attempt += 1;
        let path = format!("/{attempt}");
        direct.write("lunchbadger.json", file(&al.name, &[Gateway::new("g1", "main", &[&path])], false));
        let (world, direct, al, listed) = (&world, &direct, &al, &listed);
        async move {
            let (commit, _) = direct.commit_and_push("Directly").await;
            world.applied_at(&al.name, &commit).await;
            let hooks = listed().await;
            if hooks[0]["active"] == true { Ok(()) } else { Err(hooks.to_string()) }
        }
    })
    .await;
    let now = world.versions(&al.name).await;
    // A gateway's configuration has another name each time.
    for (object, (uid, _)) in before.iter().filter(|(object, _)| !object.starts_with("Secret")) {
        assert_eq!(now.get(object).map(|(uid, _)| uid), Some(uid), "{object} is removed or made anew");
    }
    let status = world.ok(&["status"]).await;
    for part in ["webhooks: ", " delivered (last: customer-", "1 with a bad signature", "1 put right"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let status: Value = serde_json::from_str(&world.ok(&["status", "--output", "json"]).await).expect("JSON");
    assert_eq!(status["hooks"]["repairs"]["lastRepaired"]["repository"], format!("{login}/dev"), "{status}");
    assert_eq!(status["hooks"]["lastRefused"]["repository"], format!("{login}/dev"));
    assert!(!world.versions(&bob.name).await.is_empty());
}
