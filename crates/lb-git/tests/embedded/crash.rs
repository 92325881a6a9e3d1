//! What a crash, another process or a meddling operator leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use lb_git::embedded::{Embedded, Settings};
use lb_git::{ChangeKind, GitHost, HostError};
use lb_testkit::clock::ManualClock;
use tempfile::TempDir;

use crate::server::{Server, repo, user};

async fn open(directory: &Path) -> Result<Embedded, HostError> {
    Embedded::open(Settings::new(directory), ManualClock::default().clock()).await
}

/// A data directory with two pushes, closed, and a cursor of before the second.
async fn closed() -> (TempDir, lb_git::Cursor, String) {
    let server = Server::start().await;
    let al = server.al().await;
    al.write("a", "1");
    al.commit_and_push("first").await;
    let cursor = server.host.subscribe().borrow().clone();
    al.write("a", "2");
    let (commit, _) = al.commit_and_push("second").await;
    let (host, directory) = server.reopen().await;
    host.close().await;
    drop(host);
    (directory, cursor, commit)
}

fn bare(directory: &Path) -> PathBuf {
    directory.join("users/customer-al/repos/dev/git")
}

async fn afters(host: &Embedded, cursor: &lb_git::Cursor) -> Vec<String> {
    let changes = host.changes(Some(cursor)).await.unwrap();
    assert!(!changes.reset);
    let after = |kind| match kind {
        ChangeKind::Push { after: Some(after), .. } => after.to_string(),
        ChangeKind::Push { .. } => "gone".to_owned(),
        ChangeKind::Created => "created".to_owned(),
        ChangeKind::Deleted => "deleted".to_owned(),
    };
    changes.changes.into_iter().map(|change| after(change.kind)).collect()
}

#[tokio::test]
async fn a_push_whose_journal_entry_is_missing_appears_when_the_directory_is_opened() {
    let (directory, cursor, commit) = closed().await;
    let journal = directory.path().join("journal");
    let text = fs::read(&journal).unwrap();
    let last = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for cut in [last, last + 20, text.len() - 1] {
        fs::write(&journal, &text[..cut]).unwrap();
        let host = open(directory.path()).await.unwrap();
        assert_eq!(afters(&host, &cursor).await, [&*commit], "{cut}");
        host.close().await;
    }
}

#[tokio::test]
async fn a_lost_journal_makes_everybody_start_over_with_what_is_there() {
    let (directory, cursor, commit) = closed().await;
    for damage in [None, Some(&b""[..]), Some(b"\0\0\0"), Some(b"{}\n")] {
        let journal = directory.path().join("journal");
        match damage {
            None => fs::remove_file(&journal).unwrap(),
            Some(text) => fs::write(&journal, text).unwrap(),
        }
        let host = open(directory.path()).await.unwrap();
        let changes = host.changes(Some(&cursor)).await.unwrap();
        assert!(changes.reset);
        assert!(changes.changes.iter().any(|change| matches!(&change.kind, ChangeKind::Push { after: Some(after), .. } if after.as_str() == commit)));
        host.close().await;
    }
}

#[tokio::test]
async fn a_killed_git_leaves_nothing_that_stops_later_pushes() {
    let server = Server::start().await;
    let al = server.al().await;
    al.commit_and_push("first").await;
    let git = bare(server.directory.path());
    let (clock, directory) = (server.clock.clock(), tempfile::tempdir().unwrap());
    fs::create_dir_all(git.join("objects/tmp_objdir-incoming-abc/pack")).unwrap();
    for leftover in [
        "refs/heads/master.lock",
        "packed-refs.lock",
        "HEAD.lock",
        "objects/pack/tmp_pack_x",
        "objects/tmp_objdir-incoming-abc/pack/x",
    ] {
        fs::write(git.join(leftover), "").unwrap();
    }
    al.commit("second").await;
    assert!(!al.push().await.accepted, "the lock file must matter, or this test shows nothing");
    crate::server::copy_all(server.directory.path(), directory.path());
    fs::write(directory.path().join("tmp/half"), "").unwrap();
    let host = Embedded::open(Settings::new(directory.path()), clock).await.unwrap();
    let git = bare(directory.path());
    assert!(
        !git.join("refs/heads/master.lock").exists() && !git.join("objects/tmp_objdir-incoming-abc").exists()
    );
    assert!(!directory.path().join("tmp/half").exists());
    assert!(fs::read_dir(git.join("objects/pack")).unwrap().next().is_none());
    let push =
        al.run(&["-c", "safe.directory=*", "push", git.to_str().unwrap(), "HEAD:refs/heads/master"]).await;
    assert_eq!(push, "");
    drop(host);
}

#[tokio::test]
async fn two_hosts_do_not_share_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let first = open(directory.path()).await.unwrap();
    let second = open(directory.path()).await.unwrap_err();
    assert!(second.to_string().contains("another process uses the data directory"), "{second}");
    first.close().await;
    drop(first);
    assert!(open(directory.path()).await.is_ok());
}

#[tokio::test]
async fn a_damaged_or_later_record_stops_the_start_and_is_named() {
    let (directory, _, _) = closed().await;
    let record = directory.path().join("users/customer-al/user.json");
    let good = fs::read(&record).unwrap();
    fs::write(&record, &good[..good.len() / 2]).unwrap();
    let error = open(directory.path()).await.unwrap_err();
    assert!(
        matches!(error, HostError::Malformed { .. }) && error.to_string().contains("user.json"),
        "{error}"
    );
    fs::write(&record, &good).unwrap();
    let format = directory.path().join("host.json");
    fs::write(&format, "{\"format\": 2, \"next_number\": 1}").unwrap();
    let error = open(directory.path()).await.unwrap_err();
    assert!(error.to_string().contains("its format is 2"), "{error}");
}

/// One damaged repository is its owner's affair, and nothing is said to be gone.
#[tokio::test]
async fn a_damaged_repository_stops_nobody_and_is_not_empty() {
    let (directory, cursor, commit) = closed().await;
    fs::write(bare(directory.path()).join("refs/heads/master"), "").unwrap();
    let host = open(directory.path()).await.unwrap();
    assert_eq!(afters(&host, &cursor).await, [commit]);
    assert!(host.refs(&user("al"), &repo("dev")).await.is_err());
    assert_eq!(host.heads().await.unwrap()[0].refs.len(), 1);
    host.create_user(&user("bob")).await.unwrap();
}

#[tokio::test]
async fn a_user_that_an_operator_removed_by_hand_is_told_as_deleted() {
    let (directory, cursor, _) = closed().await;
    fs::remove_dir_all(directory.path().join("users/customer-al")).unwrap();
    let host = open(directory.path()).await.unwrap();
    let changes = host.changes(Some(&cursor)).await.unwrap();
    let deleted = changes.changes.iter().filter(|change| change.kind == ChangeKind::Deleted).count();
    assert_eq!(deleted, 2);
}
