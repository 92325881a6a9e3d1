//! The same over a real Gitea: what is pushed there, through git-api or directly, is what stands.

use lb_testkit::eventually;
use lb_testkit::git::Git;
use lb_testkit::gitea::{Gitea as RealGitea, Options};
use reqwest::Method;
use serde_json::{Value, json};

use crate::project::{Gateway, file, push, serverless, standing};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_at_gitea_is_applied_and_collaborators_change_it_while_they_may() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let gitea = RealGitea::launch(Options::default()).await.expect("a Gitea");
    let token_file = gitea.admin_token_file().to_string_lossy().into_owned();
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
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let gitea = RealGitea::launch(Options::default()).await.expect("a Gitea");
    let token_file = gitea.admin_token_file().to_string_lossy().into_owned();
    let settings = [
        ("GITEA_HOST", gitea.url()),
        ("GITEA_TOKEN_FILE", &token_file),
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

    world.kill().await;
    world.resume().await;
    let bob = standing(&world, "bob").await;
    let commit = bob.dev.run(&["rev-parse", "HEAD"]).await;
    fared(&gitea, &format!("customer-{}", bob.name), "dev", &commit, "success").await;
    for (repo, commit) in [("dev", &first), ("dev", &second), ("functions", &function)] {
        let told = statuses(&gitea, &login, repo, commit).await;
        assert_eq!(told.len(), 1, "a restart tells nothing again: {told:?}");
    }
}
