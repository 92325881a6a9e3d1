//! The real `git` client against smart HTTP.

use lb_http::contract::git_api::Permission;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::world::{World, repo, user};

#[tokio::test(flavor = "multi_thread")]
async fn clone_push_and_what_others_may() {
    let world = World::populated().await;
    let al = world.person("al").await;
    let clone = al.init(&world.url("al", "dev")).await;
    clone.write("lunchbadger.json", "{}").write("a/b.txt", "b");
    let (commit, _) = clone.commit_and_push("first").await;

    let carl = world.person("carl").await;
    let copy = carl.clone_of(&world.url("al", "dev")).await;
    assert_eq!(copy.read("a/b.txt"), "b");
    copy.write("x", "x");
    copy.commit("not mine").await;
    let push = copy.push().await;
    assert!(!push.accepted && push.output.contains("403"), "a reader pushed: {}", push.output);

    let dora = world.person("dora").await;
    let writable = dora.clone_of(&world.url("al", "dev")).await;
    writable.write("x", "x");
    writable.commit_and_push("a collaborator's").await;

    let bob = world.person("bob").await;
    let refused = bob.try_run(world.directory.path(), &["clone", &world.url("al", "dev"), "stolen"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("403"), "{said}");

    world.git("operator").remove_collaborator(&user("al"), &repo("dev"), "customer-dora").await.unwrap();
    writable.write("y", "y");
    writable.commit("no longer").await;
    assert!(!writable.push().await.accepted);

    let refs = world.host.refs(&user("al"), &repo("dev")).await.unwrap();
    let master = &refs[&lb_git::RefName::master()];
    assert_ne!(master.as_str(), commit, "dora's push stands");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_missing_or_wrong() {
    let world = World::populated().await;
    let url = world.url("al", "dev");
    let nobody = lb_testkit::git::Git::new();
    for person in [nobody, lb_testkit::git::Git::new().with_token("customer-al", "not-the-token")] {
        let output = person.try_run(world.directory.path(), &["ls-remote", &url]).await;
        assert!(!output.status.success());
    }
    let response = world.http.get(format!("{url}/info/refs?service=git-upload-pack")).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(response.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    // A token in place of the password says who it is, whatever the name.
    let system = crate::world::token("system");
    let pod = lb_testkit::git::Git::new().with_token("x", system.reveal());
    assert!(pod.try_run(world.directory.path(), &["ls-remote", &url]).await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_and_clone_stream_through() {
    let world = World::populated().await;
    let al = world.person("al").await;
    let clone = al.init(&world.url("al", "dev")).await;
    // Not compressible, and over git's postBuffer of 1 MiB: chunked, with a probe before.
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(5 << 20)
    .collect();
    clone.write("noise", &noise);
    clone.commit_and_push("large").await;
    let copy = al.clone_of(&world.url("al", "dev")).await;
    assert_eq!(std::fs::read(copy.path().join("noise")).unwrap(), noise);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_references_are_negotiated_with_a_compressed_body() {
    let world = World::populated().await;
    let al = world.person("al").await;
    let clone = al.init(&world.url("al", "dev")).await;
    for n in 0..40 {
        clone.write("n", n.to_string());
        clone.commit("n").await;
        clone.run(&["branch", &format!("b{n}")]).await;
    }
    clone.run(&["push", "--quiet", "origin", "--all"]).await;
    let copy = al.clone_of(&world.url("al", "dev")).await;
    clone.write("n", "last").commit_and_push("last").await;
    // Fetching sends dozens of `have` lines, which git compresses above 1 KiB.
    copy.run(&["fetch", "--quiet", "origin"]).await;
    assert_eq!(copy.run(&["show", "FETCH_HEAD:n"]).await, "last");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_the_wrong_type_or_coding_are_refused() {
    let world = World::populated().await;
    let post = |kind: &str, coding: &str| {
        world
            .request("operator", "POST", "/customer-al/dev.git/git-upload-pack")
            .header("content-type", kind)
            .header("content-encoding", coding)
            .body("0000")
            .send()
    };
    let kind = "application/x-git-upload-pack-request";
    assert_eq!(post(kind, "identity").await.unwrap().status(), 200);
    assert_eq!(post("text/plain", "identity").await.unwrap().status(), 415);
    assert_eq!(post("application/x-git-receive-pack-request", "identity").await.unwrap().status(), 415);
    assert_eq!(post(kind, "br").await.unwrap().status(), 415);
    let dumb = world.get("/customer-al/dev.git/info/refs").await;
    assert_eq!(dumb.0, 400, "the dumb protocol is not served");
    assert_eq!(world.get("/customer-al/dev.git/info/refs?service=git-evil").await.0, 400);
    assert_eq!(world.get("/customer-al/dev.git/HEAD").await.1["error"]["code"], "ROUTE_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_push_their_own_repository_alone() {
    let world = World::populated().await;
    let pod = |role: &str| lb_testkit::git::Git::new().with_token("pod", crate::world::token(role).reveal());
    let own = pod("pod-al").init(&world.url("al", "dev")).await;
    own.write("a", "a").commit_and_push("as the workspace").await;
    let functions = pod("pod-al").init(&world.url("al", "functions")).await;
    functions.write("a", "a");
    functions.commit("not the workspace's").await;
    assert!(!functions.push().await.accepted);
    let foreign = pod("pod-bob").init(&world.url("al", "dev")).await;
    foreign.write("a", "b");
    foreign.commit("not bob's").await;
    assert!(!foreign.push().await.accepted);
    let collaborators = world.git("operator").collaborators(&user("al"), &repo("dev")).await.unwrap();
    assert!(collaborators.iter().any(|c| c.login == "customer-carl" && c.permission == Permission::Read));
}

/// A project with one gateway, whose pipeline publishes these paths.
fn project(paths: &[&str]) -> String {
    let endpoints: Vec<_> = paths
        .iter()
        .enumerate()
        .map(
            |(n, path)| json!({"id": format!("e{n}"), "name": format!("e{n}"), "host": "*", "paths": [path]}),
        )
        .collect();
    let connections: Vec<_> =
        (0..paths.len()).map(|n| json!({"fromId": "p1", "toId": format!("e{n}")})).collect();
    let gateway = json!({"id": "g1", "name": "main", "dnsPrefix": "main", "pipelines": [{"id": "p1", "name": "p1", "policies": []}]});
    let project = json!({"id": "al-dev", "name": "main", "gateways": [gateway], "apiEndpoints": endpoints, "connections": connections});
    json!({"models": {"Project": {"al-dev": project.to_string()}}}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pusher_is_told_what_changes_and_what_is_wrong() {
    let world = World::populated().await;
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let (_, first) = clone.write("lunchbadger.json", project(&["/cars"])).commit_and_push("first").await;
    assert!(first.iter().any(|line| line == "+ gateway main"), "{first:?}");
    let (_, second) =
        clone.write("lunchbadger.json", project(&["/cars", "/trucks"])).commit_and_push("second").await;
    assert!(
        second.iter().any(|line| line.starts_with("gateway main: + route") && line.contains("/trucks")),
        "{second:?}"
    );
    let (_, nothing) = clone.write("README.md", "x").commit_and_push("third").await;
    assert!(nothing.iter().any(|line| line == "nothing that runs changes"), "{nothing:?}");
    let broken = project(&["/cars"]).replace("\\\"main\\\"", "\\\"\\\"");
    let (_, broken) = clone.write("lunchbadger.json", broken).commit_and_push("fourth").await;
    assert!(broken.iter().any(|line| line.contains("finding")), "{broken:?}");
    let (_, nonsense) = clone.write("lunchbadger.json", "{").commit_and_push("fifth").await;
    assert!(nonsense.iter().any(|line| line.contains("dev/lunchbadger.json")), "{nonsense:?}");
    let (_, mended) = clone.write("lunchbadger.json", project(&["/cars"])).commit_and_push("mended").await;
    assert!(
        mended[0].starts_with("readable again") && !mended.iter().any(|line| line.contains("+ ")),
        "{mended:?}"
    );
    let many: String = (0..400).map(|n| format!("{{\"x{n}\":")).collect();
    let (_, deep) = clone.write("lunchbadger.json", many).commit_and_push("sixth").await;
    assert!(deep.len() <= 25, "{deep:?}");
    let other = clone.push_to("HEAD:refs/heads/other").await;
    assert!(
        other.accepted && !other.remote.iter().any(|line| line.contains("finding")),
        "{:?}",
        other.remote
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_grows_large_is_refused() {
    let world = World::populated().await;
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    clone.write("a", "a").commit_and_push("first").await;
    let mut bomb = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    let filler = vec![b'f'; 1 << 20];
    for _ in 0..64 {
        bomb.write_all(&filler).await.unwrap();
    }
    bomb.shutdown().await.unwrap();
    let bomb = bomb.into_inner();
    assert!(bomb.len() < 1 << 20);
    for service in ["git-upload-pack", "git-receive-pack"] {
        let request = world
            .request("owner", "POST", &format!("/customer-al/dev.git/{service}"))
            .header("content-type", format!("application/x-{service}-request"))
            .header("content-encoding", "gzip");
        let response = request.body(bomb.clone()).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        let refused = status.is_client_error() || text.contains("ERR") || text.contains("unpack ");
        assert!(refused && text.len() < 10_000, "{service}: {status} {text}");
    }
    let broken = world
        .request("owner", "POST", "/customer-al/dev.git/git-upload-pack")
        .header("content-type", "application/x-git-upload-pack-request")
        .header("content-encoding", "gzip")
        .body("this is not gzip");
    let status = broken.send().await.unwrap().status();
    assert!(status.is_client_error() || status.is_server_error(), "{status}");
    assert_eq!(world.get("/users/customer/al").await.0, 200);
}
