//! The same over a real Gitea: what is pushed there, through git-api or directly, is what stands.

use lb_testkit::eventually;
use lb_testkit::git::Git;
use lb_testkit::gitea::{Gitea as RealGitea, Options};
use reqwest::Method;
use serde_json::json;

use crate::project::{Gateway, file, push};
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
