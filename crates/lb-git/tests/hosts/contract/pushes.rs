//! Clones and pushes through a host, and who may.

use lb_git::Permission;

use super::over_every_host;
use super::world::{World, repo};

over_every_host!(
    a_push_arrives_is_told_and_can_be_cloned_with_any_protocol,
    strangers_and_readers_stay_out,
    forced_pushes_tags_and_deletions_are_told,
    an_empty_repository_can_be_cloned_and_a_shallow_clone_pushed_from,
    large_contents_go_both_ways,
);

async fn a_push_arrives_is_told_and_can_be_cloned_with_any_protocol(world: World) {
    let al = world.al().await;
    al.write("lunchbadger.json", "{}").write("ordner/größe ü.txt", "1");
    let (commit, remote) = al.commit_and_push("first").await;
    assert!(remote.contains(&"1 moved".to_owned()), "{remote:?}");
    for protocol in ["0", "1", "2"] {
        let git = world.git("al").await;
        let directory = tempfile::tempdir().unwrap();
        let version = format!("protocol.version={protocol}");
        git.run(directory.path(), &["-c", &version, "clone", "--quiet", &world.url("al", "dev"), "c"]).await;
        let clone = directory.path().join("c");
        assert_eq!(git.run(&clone, &["rev-parse", "HEAD"]).await, commit);
        assert_eq!(git.run(&clone, &["branch", "--show-current"]).await, "master");
        assert_eq!(std::fs::read_to_string(clone.join("ordner/größe ü.txt")).unwrap(), "1");
    }
}

async fn strangers_and_readers_stay_out(world: World) {
    world.host.create_user(&world.user("bob")).await.unwrap();
    let al = world.al().await;
    al.commit_and_push("first").await;
    let bob = world.git("bob").await.init(&world.url("al", "dev")).await;
    assert!(!bob.try_run(&["fetch", "origin"]).await.status.success());
    let grant = async |permission| {
        let (al, login) = (world.user("al"), world.login("bob"));
        world.host.set_collaborator(&al, &repo("dev"), &login, permission).await.unwrap();
    };
    grant(Permission::Read).await;
    bob.run(&["fetch", "--quiet", "origin"]).await;
    bob.run(&["reset", "--quiet", "--hard", "origin/master"]).await;
    bob.commit("mine").await;
    assert!(!bob.push().await.accepted);
    grant(Permission::Write).await;
    assert!(bob.push().await.accepted);
}

async fn forced_pushes_tags_and_deletions_are_told(world: World) {
    let start = world.host.changes(None).await.unwrap().cursor;
    let al = world.al().await;
    al.commit_and_push("first").await;
    al.run(&["tag", "v1"]).await;
    for accepted in ["refs/tags/v1", "HEAD:refs/lunchbadger/openapi/dev", "HEAD:refs/heads/ä/b"] {
        assert!(al.push_to(accepted).await.accepted, "{accepted}");
    }
    al.run(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "other"]).await;
    assert!(!al.push().await.accepted);
    assert!(al.push_to("+HEAD:refs/heads/master").await.accepted);
    assert!(al.push_to(":refs/tags/v1").await.accepted);
    assert!(!al.push_to(":refs/heads/master").await.accepted, "what is deployed stays");
    let told = super::changes::lines(&super::changes::after(&world, &start).await.changes);
    let expected = [
        "al dev refs/heads/master",
        "al dev refs/tags/v1",
        "al dev refs/lunchbadger/openapi/dev",
        "al dev refs/heads/ä/b",
        "al dev refs/heads/master",
        "al dev refs/tags/v1",
    ];
    assert_eq!(told, expected);
}

async fn an_empty_repository_can_be_cloned_and_a_shallow_clone_pushed_from(world: World) {
    let first = world.git("al").await.clone_of(&world.url("al", "dev")).await;
    for number in 0..3 {
        first.write("a", number.to_string());
        first.commit_and_push("more").await;
    }
    for (protocol, commits) in [("protocol.version=0", "4"), ("protocol.version=2", "5")] {
        let git = world.git("al").await;
        let directory = tempfile::tempdir().unwrap();
        let clone = directory.path().join("c");
        let url = world.url("al", "dev");
        git.run(directory.path(), &["-c", protocol, "clone", "--quiet", "--depth=1", &url, "c"]).await;
        assert_eq!(git.run(&clone, &["rev-list", "--count", "HEAD"]).await, "1");
        git.run(&clone, &["commit", "--quiet", "--allow-empty", "--message", "shallow"]).await;
        git.run(&clone, &["-c", protocol, "push", "--quiet"]).await;
        git.run(&clone, &["-c", protocol, "fetch", "--quiet", "--unshallow"]).await;
        assert_eq!(git.run(&clone, &["rev-list", "--count", "origin/master"]).await, commits);
    }
}

/// Over `http.postBuffer` git asks first whether it may push, and then sends in chunks of unknown number.
async fn large_contents_go_both_ways(world: World) {
    let al = world.al().await;
    let noise: Vec<u8> =
        (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    al.write("noise", &noise[..]);
    let (commit, _) = al.commit_and_push("noise").await;
    let clone = world.git("al").await.clone_of(&world.url("al", "dev")).await;
    assert_eq!(clone.run(&["rev-parse", "HEAD"]).await, commit);
    assert_eq!(std::fs::read(clone.path().join("noise")).unwrap(), noise);
}
