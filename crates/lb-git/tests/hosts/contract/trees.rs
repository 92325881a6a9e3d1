//! Many files at one commit, and histories.

use lb_git::{At, Globs, HostError, Kind, RefName, TreeAnswer};
use lb_vocab::{Blob, CommitId, Tree};

use super::over_every_host;
use super::world::{World, repo};

over_every_host!(
    files_links_submodules_and_large_ones_are_told_apart,
    a_missing_branch_comes_with_all_references_and_an_unborn_one_with_none,
    any_commit_can_be_read_a_tag_leads_to_its_commit_and_a_blob_does_not,
    many_files_are_read_in_one_go,
    an_id_means_its_own_content,
    a_history_is_the_first_parent_line_of_a_path,
);

async fn read(world: &World, at: &At, globs: &[&str], max: u64) -> Result<TreeAnswer, HostError> {
    world.host.tree(&world.user("al"), &repo("dev"), at, &Globs::new(globs).unwrap(), max).await
}

async fn known(world: &World, globs: &[&str], max: u64) -> (CommitId, Tree) {
    match read(world, &At::Ref(RefName::master()), globs, max).await.unwrap() {
        TreeAnswer::Known { commit, tree } => (commit, tree),
        other @ TreeAnswer::NoSuchRef { .. } => panic!("{other:?}"),
    }
}

fn paths(tree: &Tree) -> Vec<&str> {
    tree.files.keys().map(lb_vocab::SafePath::as_str).collect()
}

async fn files_links_submodules_and_large_ones_are_told_apart(world: World) {
    let al = world.al().await;
    al.write("lunchbadger.json", "{}").write("server/a.json", "a").write("server/deep/b.json", "b");
    al.write("grün/ß.json", "ü")
        .write("large", vec![b'x'; 1000])
        .write("empty", "")
        .write("run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("/etc/passwd", al.path().join("link.json")).unwrap();
    std::fs::create_dir(al.path().join("sub")).unwrap();
    al.run(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", "1".repeat(40))]).await;
    al.run(&["update-index", "--add", "--chmod=+x", "run.sh"]).await;
    let (commit, _) = al.commit_and_push("first").await;
    let (at, tree) = known(
        &world,
        &["lunchbadger.json", "none.json", "server/*.json", "grün/*", "l*", "empty", "sub", "run.sh"],
        999,
    )
    .await;
    assert_eq!(at.as_str(), commit);
    assert_eq!(
        paths(&tree),
        ["empty", "grün/ß.json", "large", "link.json", "lunchbadger.json", "run.sh", "server/a.json", "sub"]
    );
    assert_eq!(tree.get("lunchbadger.json"), Some(&Blob::File(b"{}".to_vec())));
    assert_eq!(tree.get("empty"), Some(&Blob::File(Vec::new())));
    assert_eq!(tree.get("grün/ß.json"), Some(&Blob::File("ü".into())));
    assert_eq!(tree.get("large"), Some(&Blob::TooLarge { size: 1000 }));
    assert_eq!(tree.get("link.json"), Some(&Blob::Symlink));
    assert_eq!(tree.get("sub"), Some(&Blob::Submodule));
    assert_eq!(known(&world, &["**/*.json"], 9).await.1.files.len(), 5);
}

async fn a_missing_branch_comes_with_all_references_and_an_unborn_one_with_none(world: World) {
    let master = At::Ref(RefName::master());
    assert_eq!(read(&world, &master, &["a"], 9).await.unwrap(), TreeAnswer::NoSuchRef { refs: Vec::new() });
    let al = world.al().await;
    al.commit("first").await;
    assert!(al.push_to("HEAD:refs/heads/main").await.accepted);
    let answer = read(&world, &master, &["a"], 9).await.unwrap();
    assert_eq!(answer, TreeAnswer::NoSuchRef { refs: vec!["refs/heads/main".parse().unwrap()] });
}

async fn any_commit_can_be_read_a_tag_leads_to_its_commit_and_a_blob_does_not(world: World) {
    let al = world.al().await;
    al.write("a", "1");
    let (first, _) = al.commit_and_push("first").await;
    al.write("a", "2");
    al.commit_and_push("second").await;
    al.run(&["tag", "--annotate", "--message", "x", "v1", &first]).await;
    assert!(al.push_to("refs/tags/v1").await.accepted);
    let blob = al.run(&["rev-parse", "HEAD:a"]).await;
    assert!(al.push_to(&format!("{blob}:refs/tags/blob")).await.accepted);
    for at in [first.as_str(), "refs/tags/v1"] {
        let TreeAnswer::Known { commit, tree } = read(&world, &at.parse().unwrap(), &["a"], 9).await.unwrap()
        else {
            panic!("{at}")
        };
        assert_eq!((commit.as_str(), tree.get("a")), (first.as_str(), Some(&Blob::File(b"1".to_vec()))));
    }
    for at in ["refs/tags/blob".to_owned(), "2".repeat(40), blob] {
        let missing = read(&world, &at.parse().unwrap(), &["a"], 9).await.unwrap_err();
        assert!(matches!(missing, HostError::NotFound { what: Kind::Commit, .. }), "{at}: {missing}");
    }
}

/// A tree that contains one subtree many times, many levels deep, has more paths than there are atoms. Gitea itself
/// counts them for minutes, so that this is shown over the embedded host alone.
#[tokio::test]
async fn a_tree_that_unfolds_is_refused_in_time() {
    let world = World::embedded().await;
    let al = world.al().await;
    let mut entry = format!("100644 blob {}\tf", al.run(&["hash-object", "-w", "/dev/null"]).await);
    let mut tree = String::new();
    for _ in 0..12 {
        al.write(".git/entries", &entry);
        tree = al.run(&["-c", "alias.mk=!git mktree < .git/entries", "mk"]).await;
        let entries: Vec<String> = (0..10).map(|number| format!("040000 tree {tree}\td{number}")).collect();
        entry = entries.join("\n");
    }
    let commit = al.run(&["commit-tree", "-m", "bomb", &tree]).await;
    assert!(al.push_to(&format!("{commit}:refs/heads/master")).await.accepted);
    let error = read(&world, &At::Ref(RefName::master()), &["**/f"], 9).await.unwrap_err();
    assert!(matches!(error, HostError::TooLarge { .. }), "{error}");
    assert_eq!(known(&world, &["d0/f", "f"], 9).await.1.files.len(), 0);
}

async fn many_files_are_read_in_one_go(world: World) {
    let al = world.al().await;
    for number in 0..1500 {
        al.write(&format!("d{}/f{number}", number % 40), number.to_string().repeat(50));
    }
    al.commit_and_push("many").await;
    let (_, tree) = known(&world, &["*/*"], 1000).await;
    assert_eq!(tree.files.len(), 1500);
    assert_eq!(tree.get("d19/f1459"), Some(&Blob::File("1459".repeat(50).into_bytes())));
}

async fn a_history_is_the_first_parent_line_of_a_path(world: World) {
    let al = world.al().await;
    al.write("a", "1");
    let first = al.commit("one\nmore").await;
    al.write("b", "1");
    al.commit("two").await;
    al.run(&["checkout", "--quiet", "-b", "side"]).await;
    al.write("a", "2");
    al.commit("on the side").await;
    al.run(&["checkout", "--quiet", "master"]).await;
    al.run(&["-c", "user.name=Bob \u{1}", "merge", "--quiet", "--no-ff", "--message", "merge", "side"]).await;
    assert!(al.push().await.accepted);
    let history = async |path: Option<&str>, limit| {
        let path = path.map(|path| path.parse().unwrap());
        let at = At::Ref(RefName::master());
        world.host.history(&world.user("al"), &repo("dev"), &at, path.as_ref(), limit).await.unwrap()
    };
    let subjects =
        async |path, limit| history(path, limit).await.into_iter().map(|c| c.subject).collect::<Vec<_>>();
    assert_eq!(subjects(None, 10).await, ["merge", "two", "one more"]);
    assert_eq!(subjects(None, 2).await, ["merge", "two"]);
    assert_eq!(subjects(Some("a"), 10).await, ["merge", "one more"]);
    assert_eq!(subjects(Some("*"), 10).await, [""; 0]);
    let all = history(Some("a"), 10).await;
    assert_eq!((all[0].parents.len(), all[1].parents.len(), all[1].id.as_str()), (2, 0, &*first));
    assert_eq!(
        (&*all[1].author_name, &*all[1].author_email, &*all[1].committer_email),
        ("Al", "al@example.com", "al@example.com")
    );
    assert!(all[1].time.0 > 1_600_000_000_000);
    let none =
        world.host.history(&world.user("al"), &repo("dev"), &"refs/heads/x".parse().unwrap(), None, 1).await;
    assert!(matches!(none, Err(HostError::NotFound { what: Kind::Commit, .. })));
}

/// `git replace` lets a reference say that a commit has another one's content.
async fn an_id_means_its_own_content(world: World) {
    let al = world.al().await;
    al.write("a", "shown");
    let (shown, _) = al.commit_and_push("first").await;
    al.write("a", "smuggled");
    let smuggled = al.commit("second").await;
    assert!(al.push_to(&format!("{smuggled}:refs/replace/{shown}")).await.accepted);
    let (commit, tree) = known(&world, &["a"], 99).await;
    assert_eq!((commit.as_str(), tree.get("a")), (&*shown, Some(&Blob::File(b"shown".to_vec()))));
}
