//! Working copies against a real host: saves, pushes, what others pushed, and what a crash leaves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lb_git::working::{Fetched, Integrated, NewCommit, Person, Pushed, Settings, StageError, WorkingCopy};
use lb_git::{GitHost, RefName};
use lb_testkit::git::{Clone, Git};
use lb_vocab::{Blob, CommitId, Secret, Timestamp};
use tempfile::TempDir;

use crate::server::{Server, login};

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const LIMIT: Duration = Duration::from_secs(30);

/// A host, a clone of al's `dev` in a pod, and what it is made of.
struct Case {
    server: Server,
    directory: TempDir,
    settings: Settings,
}

impl Case {
    async fn new() -> Self {
        let server = Server::start().await;
        let directory = tempfile::tempdir().unwrap();
        let (_, token) = server.host.create_token(&login("al"), "pod").await.unwrap();
        let shown = format!("customer-al:{}", token.reveal());
        let settings = Settings {
            directory: directory.path().join("clone"),
            git: PathBuf::from("git"),
            url: server.url("al", "dev").parse().unwrap(),
            token: Arc::new(move || Ok(Some(Secret::new(shown.clone())))),
            committer: person("LunchBadger", "support@lunchbadger.com"),
        };
        Self { server, directory, settings }
    }

    async fn open(&self) -> WorkingCopy {
        WorkingCopy::open(&self.settings).await.unwrap()
    }

    fn repository(&self) -> PathBuf {
        self.settings.directory.join("repository.git")
    }

    async fn git(&self, arguments: &[&str]) -> String {
        Git::new().run(&self.repository(), arguments).await
    }

    /// A clone of somebody else, with what is at the host.
    async fn other(&self) -> Clone {
        self.server.git("al").await.clone_of(&self.server.url("al", "dev")).await
    }
}

fn person(name: &str, email: &str) -> Person {
    Person { name: name.into(), email: email.into() }
}

fn save(copy: &mut WorkingCopy, message: &str, changes: &[(&str, Option<&str>)]) -> CommitId {
    let changes =
        changes.iter().map(|(path, text)| (path.parse().unwrap(), text.map(|text| text.as_bytes().to_vec())));
    let author = Some(person("Dora <x>\n", "dora@example.com"));
    let commit = NewCommit { message: message.into(), author, changes: changes.collect() };
    let id = copy.stage(commit, NOW).unwrap().unwrap();
    copy.flush().unwrap();
    id
}

fn text(copy: &WorkingCopy, path: &str) -> Option<String> {
    match copy.tree().get(path)? {
        Blob::File(content) => Some(String::from_utf8(content.clone()).unwrap()),
        Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. } => None,
    }
}

fn displaced() -> RefName {
    "refs/heads/lunchbadger/displaced/now".parse().unwrap()
}

async fn push(copy: &mut WorkingCopy) -> Pushed {
    let (head, upstream) = (copy.head().unwrap().unwrap(), copy.upstream().unwrap());
    let pushed = copy.remote().push(&head, upstream.as_ref(), LIMIT).await.unwrap();
    if pushed == Pushed::Done {
        copy.pushed(&head).unwrap();
    }
    pushed
}

async fn fetch(copy: &WorkingCopy) -> CommitId {
    match copy.remote().fetch().await.unwrap() {
        Fetched::At(commit) => commit,
        other @ (Fetched::Unborn | Fetched::NoBranch) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn saves_are_commits_that_git_understands_and_the_host_gets() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    assert_eq!(copy.remote().fetch().await.unwrap(), Fetched::Unborn);
    save(
        &mut copy,
        "first",
        &[("a", Some("1")), ("d.x", Some("2")), ("d/e/f", Some("3")), ("d-x", Some("4"))],
    );
    let second = save(&mut copy, "second", &[("a", None), ("d/e/g", Some("ü"))]);
    assert_eq!(copy.unpushed(), 2);
    assert_eq!(push(&mut copy).await, Pushed::Done);
    assert_eq!((copy.unpushed(), fs::read(case.settings.directory.join("journal")).unwrap().len()), (0, 0));
    case.git(&["fsck", "--strict", "--full"]).await;
    assert_eq!(
        case.git(&["show", "--no-patch", "--format=%an|%ae|%cn|%ce|%at|%s", "master"]).await,
        "Dora x|dora@example.com|LunchBadger|support@lunchbadger.com|1767225600|second"
    );
    let other = case.other().await;
    assert_eq!(other.run(&["rev-parse", "HEAD"]).await, second.as_str());
    assert_eq!(other.run(&["ls-files"]).await, "d-x\nd.x\nd/e/f\nd/e/g");
    let nothing = NewCommit {
        message: "same".into(),
        author: None,
        changes: vec![("d-x".parse().unwrap(), Some(b"4".to_vec()))],
    };
    assert_eq!(copy.stage(nothing, NOW).unwrap(), None);
    assert!(!case.settings.directory.join("home/shown").exists(), "the token is gone with the transfer");
}

#[tokio::test]
async fn what_cannot_stand_where_it_should_changes_nothing() {
    let case = Case::new().await;
    let al = case.server.al().await;
    al.write("dir/file", "x").write("run", "#!").run(&["update-index", "--add", "--chmod=+x", "run"]).await;
    std::os::unix::fs::symlink("/etc", al.path().join("link")).unwrap();
    fs::set_permissions(al.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    al.commit_and_push("begin").await;
    let mut copy = case.open().await;
    let commit = fetch(&copy).await;
    copy.integrate(&commit, &displaced(), LIMIT, NOW).await.unwrap();
    let mut tries = |path: &str| {
        let changes = vec![("good".parse().unwrap(), Some(vec![])), (path.parse().unwrap(), Some(vec![]))];
        copy.stage(NewCommit { message: "m".into(), author: None, changes }, NOW)
    };
    assert!(matches!(tries("dir"), Err(StageError::IsADirectory { .. })));
    assert!(matches!(tries("dir/file/x"), Err(StageError::NotADirectory { .. })));
    assert!(matches!(tries("link"), Err(StageError::NotAFile { .. })));
    assert!(matches!(tries("link/passwd"), Err(StageError::NotADirectory { .. })));
    assert_eq!((copy.unpushed(), text(&copy, "good")), (0, None));
    save(&mut copy, "edit", &[("run", Some("#!/bin/sh"))]);
    assert!(case.git(&["ls-tree", "master", "run"]).await.starts_with("100755"));
}

#[tokio::test]
async fn after_a_crash_everything_that_was_flushed_is_there() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    let id = save(&mut copy, "first", &[("a", Some("1")), ("dir/b", Some("2"))]);
    drop(copy);
    // What a machine's crash does to files that nobody synced.
    damage(&case.repository().join("objects"));
    fs::write(case.repository().join("refs/heads/master"), "").unwrap();
    let mut copy = case.open().await;
    assert_eq!((copy.head().unwrap(), copy.unpushed()), (Some(id), 1));
    assert_eq!((text(&copy, "a").as_deref(), text(&copy, "dir/b").as_deref()), (Some("1"), Some("2")));
    assert_eq!(push(&mut copy).await, Pushed::Done);
    case.git(&["fsck", "--strict", "--full"]).await;
}

/// Empties some objects and removes others.
fn damage(objects: &Path) {
    let mut number = 0;
    for directory in fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path()) {
        if directory.file_name().unwrap().len() != 2 {
            continue;
        }
        for object in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
            fs::remove_file(&object).unwrap();
            if number % 2 == 0 {
                fs::write(&object, "").unwrap();
            }
            number += 1;
        }
    }
    assert!(number >= 4, "{number}");
}

#[tokio::test]
async fn saves_go_on_top_of_what_others_pushed() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    save(&mut copy, "first", &[("a", Some("1\n2\n3\n4\n5\n")), ("b", Some("b"))]);
    push(&mut copy).await;
    let other = case.other().await;
    other.write("a", "one\n2\n3\n4\n5\n").write("new", "theirs");
    let (theirs, _) = other.commit_and_push("external").await;
    save(&mut copy, "second", &[("b", Some("B"))]);
    save(&mut copy, "third", &[("a", Some("1\n2\n3\n4\nfive\n"))]);
    assert_eq!(push(&mut copy).await, Pushed::Moved);
    let commit = fetch(&copy).await;
    assert_eq!(commit.as_str(), theirs);
    let done = copy.integrate(&commit, &displaced(), LIMIT, NOW).await.unwrap();
    assert_eq!(done, Integrated::Theirs { lost: vec![] });
    assert_eq!(
        (text(&copy, "a").as_deref(), text(&copy, "b").as_deref(), text(&copy, "new").as_deref()),
        (Some("one\n2\n3\n4\nfive\n"), Some("B"), Some("theirs"))
    );
    assert_eq!(push(&mut copy).await, Pushed::Done);
    assert_eq!(
        copy.integrate(&fetch(&copy).await, &displaced(), LIMIT, NOW).await.unwrap(),
        Integrated::Ours
    );
    let other = case.other().await;
    assert_eq!(
        other.run(&["log", "--format=%s|%an", "--first-parent"]).await,
        "third|Dora x\nsecond|Dora x\nexternal|Al\nfirst|Dora x"
    );
    assert_eq!(other.read("a"), "one\n2\n3\n4\nfive\n");
}

#[tokio::test]
async fn the_remote_wins_a_conflict_and_what_it_displaces_is_on_a_branch_there() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    save(&mut copy, "first", &[("a.json", Some("{\"x\":1}")), ("b", Some("b"))]);
    push(&mut copy).await;
    let other = case.other().await;
    other.write("a.json", "{\"x\":2}");
    other.commit_and_push("external").await;
    let mine = save(&mut copy, "mine", &[("a.json", Some("{\"x\":3}")), ("b", Some("B"))]);
    let commit = fetch(&copy).await;
    let done = copy.integrate(&commit, &displaced(), LIMIT, NOW).await.unwrap();
    assert_eq!(done, Integrated::Theirs { lost: vec!["a.json".into()] });
    assert_eq!(
        (text(&copy, "a.json").as_deref(), text(&copy, "b").as_deref()),
        (Some("{\"x\":2}"), Some("B"))
    );
    // A restart finds the same.
    drop(copy);
    let mut copy = case.open().await;
    assert_eq!((text(&copy, "a.json").as_deref(), copy.unpushed()), (Some("{\"x\":2}"), 1));
    assert_eq!(push(&mut copy).await, Pushed::Done);
    let other = case.other().await;
    assert_eq!(other.run(&["rev-parse", "origin/lunchbadger/displaced/now"]).await, mine.as_str());
    assert_eq!(other.run(&["show", "origin/lunchbadger/displaced/now:a.json"]).await, "{\"x\":3}");
}

#[tokio::test]
async fn a_forced_push_to_an_older_commit_is_followed_and_not_undone() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    let first = save(&mut copy, "first", &[("a", Some("1"))]);
    save(&mut copy, "second", &[("a", Some("2"))]);
    push(&mut copy).await;
    let other = case.other().await;
    other.run(&["reset", "--hard", first.as_str()]).await;
    other.run(&["push", "--force", "origin", "HEAD:refs/heads/master"]).await;
    save(&mut copy, "third", &[("b", Some("3"))]);
    assert_eq!(push(&mut copy).await, Pushed::Moved);
    copy.integrate(&fetch(&copy).await, &displaced(), LIMIT, NOW).await.unwrap();
    assert_eq!((text(&copy, "a").as_deref(), text(&copy, "b").as_deref()), (Some("1"), Some("3")));
    assert_eq!(push(&mut copy).await, Pushed::Done);
    assert_eq!(case.other().await.run(&["log", "--format=%s"]).await, "third\nfirst");
    let given_up = save(&mut copy, "fourth", &[("b", Some("4"))]);
    assert_eq!(copy.reset(&fetch(&copy).await, &displaced(), LIMIT).await.unwrap(), 1);
    assert_eq!((text(&copy, "b").as_deref(), copy.unpushed()), (Some("3"), 0));
    let branch = case.other().await.run(&["rev-parse", "origin/lunchbadger/displaced/now"]).await;
    assert_eq!(branch, given_up.as_str());
}

#[tokio::test]
async fn a_damaged_clone_is_made_anew_with_what_the_journal_has() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    save(&mut copy, "first", &[("a", Some("1"))]);
    push(&mut copy).await;
    let unpushed = save(&mut copy, "second", &[("b", Some("2"))]);
    drop(copy);
    damage_all(&case.repository().join("objects"));
    let error = WorkingCopy::open(&case.settings).await.unwrap_err();
    assert_eq!(error.name(), "Broken", "{error}");
    let mut copy = WorkingCopy::open_anew(&case.settings).await.unwrap();
    assert_eq!((copy.head().unwrap(), copy.unpushed()), (Some(unpushed), 1));
    assert_eq!((text(&copy, "a").as_deref(), text(&copy, "b").as_deref()), (Some("1"), Some("2")));
    assert_eq!(push(&mut copy).await, Pushed::Done);
    assert!(case.directory.path().join("clone/broken.git").exists());
}

fn damage_all(objects: &Path) {
    for directory in fs::read_dir(objects).unwrap().map(|entry| entry.unwrap().path()) {
        fs::remove_dir_all(directory).unwrap();
    }
}

#[tokio::test]
async fn what_the_disk_does_not_take_was_never_saved() {
    let case = Case::new().await;
    let mut copy = case.open().await;
    let first = save(&mut copy, "first", &[("a", Some("1"))]);
    let (objects, aside) = (case.repository().join("objects"), case.repository().join("aside"));
    fs::rename(&objects, &aside).unwrap();
    fs::write(&objects, "no directory").unwrap();
    for name in ["b", "c"] {
        let changes = vec![(name.parse().unwrap(), Some(b"2".to_vec()))];
        let commit = NewCommit { message: "lost".into(), author: None, changes };
        assert!(copy.stage(commit, NOW).unwrap().is_some());
    }
    let error = copy.flush().unwrap_err();
    assert_eq!(error.name(), "Io", "{error}");
    assert_eq!((copy.head().unwrap(), copy.unpushed()), (Some(first), 1));
    assert_eq!((text(&copy, "a").as_deref(), text(&copy, "b")), (Some("1"), None));
    fs::remove_file(&objects).unwrap();
    fs::rename(&aside, &objects).unwrap();
    save(&mut copy, "second", &[("b", Some("3"))]);
    assert_eq!(push(&mut copy).await, Pushed::Done);
    assert_eq!(case.other().await.run(&["log", "--format=%s"]).await, "second\nfirst");
}
