//! The workspace over a real Gitea: who is a collaborator there, and signs in with a token of it, edits the project.

use std::time::Duration;

use lb_testkit::gitea::{Gitea, Options};
use lb_vocab::Secret;
use reqwest::Method;
use serde_json::json;

use crate::world::{World, answer};

const PASSWORD: &str = "carla's password";

/// Signs in at git-api with a personal token of Gitea, for al's workspace.
async fn sign_in(world: &World, personal: &Secret) -> (u16, Secret) {
    let url = format!("http://{}/login/token", world.git_api);
    let request = world.http.post(url).basic_auth("carla", Some(personal.reveal()));
    let (status, issued) = answer(request.json(&json!({"audience": "al-dev"}))).await;
    (status, Secret::new(issued["token"].as_str().unwrap_or_default().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collaborator_at_gitea_edits_the_project_as_its_author_and_a_removed_one_does_not() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let gitea = Gitea::launch(Options::default()).await.unwrap();
    let world = World::over_gitea(&gitea).await;
    let mut pod = world.pod().await;
    gitea.create_person("carla", PASSWORD).await.unwrap();
    let scopes = ["read:user", "write:repository"];
    let personal = gitea.create_personal_token("carla", PASSWORD, &scopes).await.unwrap();
    assert_eq!(sign_in(&world, &personal).await.0, 403, "she is no member yet");

    let collaborator = "repos/customer-al/dev/collaborators/carla";
    let become_member = async |permission: &str| {
        let granted = gitea.api(Method::PUT, collaborator).json(&json!({"permission": permission}));
        granted.send().await.unwrap().error_for_status().unwrap();
    };
    become_member("read").await;
    let (status, token) = sign_in(&world, &personal).await;
    assert_eq!(status, 200);
    pod.show("carla", token);
    let read = answer(pod.request("carla", "GET", "/api/Projects/al-dev")).await;
    assert_eq!(read.0, 200, "{}", read.1);
    assert_eq!(pod.patch("carla", json!({"name": "too early"})).await.0, 403);

    become_member("write").await;
    world.clock.advance(Duration::from_secs(31));
    let (status, project) = pod.patch("carla", json!({"name": "carla's"})).await;
    assert_eq!((status, &project["name"]), (200, &json!("carla's")), "{project}");
    pod.pushed().await;
    let commit = gitea.api(Method::GET, "repos/customer-al/dev/commits?limit=1&stat=false");
    let commit = &answer(commit).await.1[0]["commit"];
    let who = |role: &str| (commit[role]["name"].clone(), commit[role]["email"].clone());
    assert_eq!(who("author"), (json!("Person carla"), json!("carla@people.example.com")), "{commit}");
    assert_eq!(who("committer"), (json!("LunchBadger"), json!("support@lunchbadger.com")));
    assert_eq!(pod.patch("carla", json!({"disabled": true})).await.0, 403, "that takes admin");

    gitea.api(Method::DELETE, collaborator).send().await.unwrap().error_for_status().unwrap();
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(pod.patch("carla", json!({"name": "no longer"})).await.0, 403);
    assert_eq!(answer(pod.request("carla", "GET", "/api/Projects/al-dev")).await.0, 403);
    assert_eq!(sign_in(&world, &personal).await.0, 403);
    assert_eq!(pod.get("/api/Projects/al-dev").await["name"], "carla's");
}
