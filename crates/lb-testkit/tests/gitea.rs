//! The Gitea that tests get: its API, its git server, its restart.
#![expect(clippy::unwrap_used, reason = "a helper of tests reports by failing the test")]

use std::time::Duration;

use lb_testkit::git::Git;
use lb_testkit::gitea::{ADMIN, Gitea, Options};
use lb_testkit::{eventually, skip, unique};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

async fn answer(request: RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let (status, text) = (response.status(), response.text().await.unwrap());
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Waits until the API answers with a branch's commit: a first push is noted after it was answered, and until then
/// Gitea says 500 here.
async fn head(gitea: &Gitea, branch: &str) -> Value {
    eventually("the branch is there", || async {
        let response = gitea.api(Method::GET, branch).send().await?.error_for_status()?;
        response.json::<Value>().await.map(|branch| branch["commit"]["id"].clone())
    })
    .await
}

/// Makes a user with a private repository `dev` and returns the user's name.
async fn user_with_repository(gitea: &Gitea) -> String {
    let user = unique("al");
    let email = format!("{user}@example.com");
    let person = json!({"username": user, "email": email, "password": unique("secret-"), "must_change_password": false});
    answer(gitea.api(Method::POST, "admin/users").json(&person)).await;
    let repository = json!({"name": "dev", "private": true});
    answer(gitea.api(Method::POST, &format!("admin/users/{user}/repos")).json(&repository)).await;
    user
}

#[tokio::test]
async fn a_directory_that_is_kept_is_served_again() {
    if skip::needs_gitea().is_none() {
        return;
    }
    let kept = tempfile::tempdir().unwrap();
    let directory = kept.path().join("gitea");
    let options = Options { directory: Some(directory.clone()), ..Options::default() };
    let gitea = Gitea::launch(options).await.unwrap();
    let (user, before) = (user_with_repository(&gitea).await, gitea.url().to_owned());
    drop(gitea);
    let gitea = Gitea::reopen(directory, lb_testkit::quiet()).await.unwrap();
    assert_ne!(gitea.url(), before);
    let repository = answer(gitea.api(Method::GET, &format!("repos/{user}/dev"))).await;
    assert!(repository["clone_url"].as_str().unwrap().starts_with(gitea.url()), "{repository}");
}

#[tokio::test]
async fn what_is_pushed_is_there_after_a_restart() {
    if skip::needs_gitea().is_none() {
        return;
    }
    let mut gitea = Gitea::launch(Options::default()).await.unwrap();
    let user = user_with_repository(&gitea).await;
    let url = gitea.clone_url(&user, "dev");
    let git = Git::new().with_token(ADMIN, gitea.admin_token());
    let clone = git.init(&url).await;
    clone.write("lunchbadger.json", "{}\n");
    let (commit, _) = clone.commit_and_push("Begin").await;
    let branch = format!("repos/{user}/dev/branches/master");
    assert_eq!(head(&gitea, &branch).await, commit.as_str());

    gitea.stop();
    assert!(gitea.api(Method::GET, &branch).send().await.unwrap_err().is_connect());
    gitea.start().await.unwrap();
    assert_eq!(head(&gitea, &branch).await, commit.as_str());
    assert_eq!(git.clone_of(&url).await.read("lunchbadger.json"), "{}\n");

    let directory = gitea.directory().to_owned();
    drop(gitea);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_push_is_told_to_a_webhook_on_this_machine() {
    if skip::needs_gitea().is_none() {
        return;
    }
    let gitea = Gitea::shared().await;
    let user = user_with_repository(gitea).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/told", listener.local_addr().unwrap());
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push"],
        "config": {"url": target, "content_type": "json"},
    });
    answer(gitea.api(Method::POST, &format!("repos/{user}/dev/hooks")).json(&hook)).await;
    let clone = Git::new().with_token(ADMIN, gitea.admin_token()).init(&gitea.clone_url(&user, "dev")).await;
    clone.commit_and_push("Begin").await;
    let (stream, _) = timeout(Duration::from_secs(30), listener.accept()).await.expect("a delivery").unwrap();
    let request = BufReader::new(stream).lines().next_line().await.unwrap().unwrap();
    assert_eq!(request, "POST /told HTTP/1.1");
}
