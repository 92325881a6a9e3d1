//! git-api's facade: users, repositories, files, keys, and names that are hostile.

use lb_http::contract::git_api::{HookState, TreeAnswer, TreeRequest};
use lb_vocab::Blob;
use serde_json::json;

use crate::world::{World, answer, raw_get, repo, user};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPGnBCgY0p6nZQSCuoUwQ0I2tyV5n5rIMvDuEB4ZHeVN al@laptop";
pub(crate) const OTHER_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0rSzmCrUGVUMhEzCUw4LnFQmLhEnvyYSy2iNcs8BQH bob@laptop";

#[tokio::test(flavor = "multi_thread")]
async fn users_and_repositories_in_the_shapes_that_clients_read() {
    let world = World::new().await;
    let git = world.git("operator");
    for _ in 0..2 {
        let (made, _) = git.create_user(&user("al")).await.unwrap();
        assert_eq!((made.login.as_str(), made.email.as_str()), ("customer-al", "al@customer.com"));
        git.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
        let callback = "http://configstore.default/hook".parse().unwrap();
        let found = git.ensure_hook(&user("al"), &repo("dev"), &callback, false).await.unwrap();
        assert_eq!(found, HookState::Undelivered);
    }
    assert_eq!(git.user(&user("nobody")).await.unwrap(), None);
    assert_eq!(git.repositories(&user("nobody")).await.unwrap(), None);
    let (_, body) = world.get("/users/customer/al/repos").await;
    assert_eq!(body["repos"].as_array().unwrap().len(), 1);
    assert_eq!(body["repos"][0]["full_name"], "customer-al/dev");
    assert_eq!(body["repos"][0]["private"], true);
    let (_, body) = world.get("/users/customer/al/myrepos").await;
    assert_eq!(body["repos"][0]["permissions"], json!({"admin": true, "push": true, "pull": true}));
    assert_eq!(body["repos"][0]["owner"]["username"], "customer-al");
    let (_, body) = world.get("/search/users?q=AL").await;
    assert_eq!(body["users"][0]["login"], "customer-al");
    let (status, body) = world.get("/users/customer/nobody/repos").await;
    assert_eq!((status, body["error"]["code"].as_str()), (404, Some("USER_NOT_FOUND")));
    let (status, body) = answer(
        world
            .request("operator", "PUT", "/users/customer/al/repos/dev/hook")
            .json(&json!({"url": "file:///etc/passwd"})),
    )
    .await;
    assert_eq!((status, body["error"]["statusCode"].as_u64()), (400, Some(400)));
    assert_eq!(
        answer(world.request("operator", "PUT", "/users/customer/al/repos/dev/hook")).await,
        (200, json!({"ok": true, "found": "undelivered"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_hundred_users_are_listed_with_their_repositories() {
    let world = World::new().await;
    let git = world.git("system");
    for n in 0..103 {
        git.create_user(&user(&format!("u{n}"))).await.unwrap();
    }
    git.ensure_repository(&user("u102"), &repo("dev")).await.unwrap();
    let users = git.users(&"customer".parse().unwrap()).await.unwrap();
    assert_eq!(users.len(), 103);
    let with: Vec<_> =
        users.iter().filter(|user| !user.repos.is_empty()).map(|user| user.user.login.as_str()).collect();
    assert_eq!(with, ["customer-u102"]);
    assert_eq!(git.users(&"nobodys".parse().unwrap()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_route_answers_the_asked_path() {
    let world = World::populated().await;
    let al = world.person("al").await;
    let clone = al.init(&world.url("al", "dev")).await;
    clone
        .write("lunchbadger.json", "project")
        .write("a/b c/[x]*.txt", "odd")
        .write("hook", "h")
        .write("empty", "");
    std::os::unix::fs::symlink("/etc/passwd", clone.path().join("link")).unwrap();
    clone.commit_and_push("files").await;
    let git = world.git("operator");
    let file = async |path: &str| git.file(&user("al"), &repo("dev"), &path.parse().unwrap()).await.unwrap();
    assert_eq!(file("lunchbadger.json").await.unwrap(), b"project");
    assert_eq!(file("a/b c/[x]*.txt").await.unwrap(), b"odd");
    assert_eq!(file("hook").await.unwrap(), b"h");
    for missing in ["nothing", "a", "a/b c/x.txt", "empty", "link"] {
        assert_eq!(file(missing).await, None, "{missing}");
    }
    let (status, body) = world.get("/users/customer/al/repos/dev/nothing").await;
    assert_eq!((status, body), (200, json!({"data": null})));
    assert_eq!(world.get("/users/customer/al/repos/none/x").await.1["error"]["code"], "REPOSITORY_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_at_one_commit_and_what_is_proven() {
    let world = World::populated().await;
    let git = world.git("system");
    let request = |reference: &str, globs: &[&str]| TreeRequest {
        reference: reference.into(),
        globs: globs.iter().map(|glob| (*glob).into()).collect(),
        max_bytes: 10,
    };
    let master = request("refs/heads/master", &["lunchbadger.json", "server/*.json", "link", "large"]);
    let unborn = git.tree(&user("al"), &repo("dev"), &master).await.unwrap();
    assert_eq!(unborn, TreeAnswer::ReferenceMissing { references: vec![] });
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    clone
        .write("server/a.json", "{}")
        .write("server/b/c.json", "{}")
        .write("large", "more than ten bytes")
        .write("other", "x");
    std::os::unix::fs::symlink("other", clone.path().join("link")).unwrap();
    let (commit, _) = clone.commit_and_push("first").await;
    let TreeAnswer::At(at, tree) = git.tree(&user("al"), &repo("dev"), &master).await.unwrap() else {
        panic!()
    };
    assert_eq!(at.as_str(), commit);
    let paths: Vec<_> = tree.files.keys().map(|path| path.as_str()).collect();
    assert_eq!(paths, ["large", "link", "server/a.json"]);
    assert_eq!(tree.get("large"), Some(&Blob::TooLarge { size: 19 }));
    assert_eq!(tree.get("link"), Some(&Blob::Symlink));
    let by_commit = git.tree(&user("al"), &repo("dev"), &request(&commit, &["**"])).await.unwrap();
    assert!(matches!(by_commit, TreeAnswer::At(_, tree) if tree.files.len() == 5));
    let other = git.tree(&user("al"), &repo("dev"), &request("refs/heads/main", &["x"])).await.unwrap();
    assert_eq!(other, TreeAnswer::ReferenceMissing { references: vec!["refs/heads/master".into()] });
    assert_eq!(git.tree(&user("al"), &repo("none"), &master).await.unwrap(), TreeAnswer::RepositoryMissing);
    assert_eq!(git.tree(&user("none"), &repo("dev"), &master).await.unwrap(), TreeAnswer::UserMissing);
    for bad in [
        request("master", &["x"]),
        request("refs/heads/../x", &["x"]),
        request("refs/heads/master", &[]),
        request("refs/heads/master", &["["]),
    ] {
        let error = git.tree(&user("al"), &repo("dev"), &bad).await.unwrap_err();
        assert!(
            matches!(error, lb_http::contract::ClientError::Refused { status: 400 | 422, .. }),
            "{error}"
        );
    }
    let history = git.history(&user("al"), &repo("dev"), "refs/heads/master", "large", 10).await.unwrap();
    assert_eq!(
        (history.len(), history[0].id.as_str(), history[0].subject.as_str()),
        (1, commit.as_str(), "first")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_users_and_of_pods() {
    let world = World::populated().await;
    let add = |role: &str, name: &str, body: serde_json::Value| {
        answer(world.request(role, "POST", &format!("/users/customer/{name}/ssh")).json(&body))
    };
    let (status, body) = add("owner", "al", json!({"publicKey": KEY, "title": "laptop"})).await;
    assert_eq!(status, 200, "{body}");
    let id = body["result"]["id"].as_u64().unwrap();
    assert!(body["result"]["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    assert!(body["result"]["created_at"].as_str().unwrap().ends_with('Z'));
    let (status, body) = add("owner", "al", json!({"publicKey": "ssh-rsa nonsense"})).await;
    assert_eq!(status, 422);
    assert!(body["error"].is_string(), "{body}");
    let (status, _) =
        add("owner", "al", json!({"publicKey": OTHER_KEY, "title": "lunchbadger-internal-x"})).await;
    assert_eq!(status, 400, "titles of the platform are its own");
    assert_eq!(add("owner", "al", json!({"publicKey": OTHER_KEY, "type": "gateway"})).await.0, 400);
    assert_eq!(
        add("pod-al", "al", json!({"publicKey": OTHER_KEY, "type": "sls-api"})).await.0,
        403,
        "another pod's type"
    );
    assert_eq!(add("pod-al", "al", json!({"publicKey": OTHER_KEY})).await.0, 403, "a user's key");
    let (status, body) = add("pod-al", "al", json!({"publicKey": OTHER_KEY, "type": "workspace"})).await;
    assert_eq!((status, body["result"]["title"].as_str()), (200, Some("lunchbadger-internal-workspace")));
    let keys = world.git("owner").keys(&user("al")).await.unwrap();
    assert_eq!(keys.iter().map(|key| key.title.as_str()).collect::<Vec<_>>(), ["laptop"]);
    let delete = |role: &str, name: &str, id: &str| {
        answer(world.request(role, "DELETE", &format!("/users/customer/{name}/ssh/{id}")))
    };
    assert_eq!(
        delete("other", "bob", &id.to_string()).await,
        (400, json!({"result": "UNKNOWN_ID"})),
        "somebody else's"
    );
    assert_eq!(delete("owner", "al", "x").await.0, 400);
    assert_eq!(delete("owner", "al", &id.to_string()).await.0, 204);
    assert_eq!(delete("owner", "al", &id.to_string()).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_reach_nothing() {
    let world = World::populated().await;
    for path in [
        "/users/customer/%2e%2e/repos",
        "/users/customer/al%2f..%2fbob",
        "/users/customer/AL",
        "/users/customer/al%00",
        "/users/customer/al%0a/repos",
        "/users/%2e%2e/al",
        "/users/customer/al/repos/%2e%2e%2fbob/x",
        "/users/customer/al/repos/dev/..%2f..%2fetc%2fpasswd",
        "/users/customer/al/repos/dev/.git%2fconfig",
        "/users/customer/al/repos/dev/a%2f%2fb",
        "/users/customer/al/repos/dev.git/x",
        "/history/customer/al/..%2fbob?ref=refs/heads/master",
        "/history/customer/al/dev?ref=--output=/tmp/x",
        "/history/customer/al/dev?ref=refs/heads/master&path=../../x",
        "/customer-al%2f..%2fcustomer-bob/dev.git/info/refs?service=git-upload-pack",
        "/customer-al/..%2f..%2fx.git/info/refs?service=git-upload-pack",
        "/other-al/dev.git/info/refs?service=git-upload-pack",
        "/users/customer/%ff",
        "/users/%ff",
        "/users/customer/al/repos/dev/%ff",
        "/users/customer/../repos",
        "/users/customer/al/repos/dev/../../x",
    ] {
        let (status, answer) = raw_get(world.git_api, path, "operator").await;
        assert!(status == 400 && answer.contains("BAD_REQUEST"), "{path}: {answer}");
    }
    // Whoever may not is told nothing else about others' names.
    for path in [
        "/users/customer/al/repos/dev/x",
        "/users/customer/al/repos/none/x",
        "/users/customer/none/repos/none/x",
    ] {
        assert_eq!(answer(world.request("other", "GET", path)).await.0, 403, "{path}");
    }
    // Another prefix's user of the same name is somebody else.
    assert_eq!(answer(world.request("owner", "GET", "/users/other/al")).await.0, 403);
    assert_eq!(answer(world.request("pod-al", "GET", "/users/other/al")).await.0, 403);
}

/// Among users of other prefixes are the git host's administrators.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_made_for_producers_users_alone() {
    let world = World::new().await;
    let admin = json!({"name": "admin", "prefix": "site"});
    assert_eq!(answer(world.request("operator", "POST", "/users").json(&admin)).await.0, 200);
    for (path, body) in [
        ("/users/site/admin/tokens", json!({"name": "t"})),
        ("/users/site/admin/ssh", json!({"publicKey": "x"})),
    ] {
        for role in ["system", "operator"] {
            assert_eq!(answer(world.request(role, "POST", path).json(&body)).await.0, 403, "{role} {path}");
        }
    }
}
