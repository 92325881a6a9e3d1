//! What a crash, another process or a meddling operator leaves behind.

use std::fs;
use std::path::{Path, PathBuf};

use lb_git::embedded::{Embedded, Settings};
use lb_git::{ChangeKind, GitHost, HostError};
use lb_testkit::clock::ManualClock;
use lb_testkit::eventually;
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
        let pushed = |change: &lb_git::Change| match &change.kind {
            ChangeKind::Push { after, .. } => after.as_ref().is_some_and(|after| after.as_str() == commit),
            ChangeKind::Created | ChangeKind::Deleted => false,
        };
        assert!(changes.changes.iter().any(pushed));
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
    let standing = host.changes(None).await.unwrap().changes;
    assert!(standing.iter().any(|change| matches!(change.kind, ChangeKind::Push { .. })), "{standing:?}");
    host.create_user(&user("bob")).await.unwrap();
}

/// A disk that is not there any more must not make a repository look new.
#[tokio::test]
async fn a_repository_that_vanished_under_us_is_not_unborn() {
    let (directory, cursor, commit) = closed().await;
    let host = open(directory.path()).await.unwrap();
    fs::remove_dir_all(bare(directory.path())).unwrap();
    let globs = lb_git::Globs::new(&["a"]).unwrap();
    let master = lb_git::At::Ref(lb_git::RefName::master());
    assert!(host.tree(&user("al"), &repo("dev"), &master, &globs, 9).await.is_err());
    assert!(host.refs(&user("al"), &repo("dev")).await.is_err());
    host.close().await;
    drop(host);
    let host = open(directory.path()).await.unwrap();
    assert_eq!(afters(&host, &cursor).await, [commit]);
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

/// Variable that makes [`child`] a process that is going to be killed: it names its directory.
const CHILD: &str = "LUNCHBADGER_TEST_CRASH";
const PUSHES: usize = 60;

/// Kills a host, as a process of its own, at moments it does not expect, and looks at what it left behind.
#[tokio::test]
async fn a_killed_host_has_kept_every_push_that_it_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let bodies = directory.path().join("bodies");
    let data = directory.path().join("data");
    let commits = make_bodies(&bodies).await;
    let host = open(&data).await.unwrap();
    host.create_user(&user("al")).await.unwrap();
    host.ensure_repository(&user("al"), &repo("dev")).await.unwrap();
    let start = host.subscribe().borrow().clone();
    host.close().await;
    drop(host);
    let mut accepted = 0;
    for round in 0..6 {
        accepted = accepted.max(run_and_kill(directory.path(), 1 + round * 2));
        let host = eventually("the directory is free", || open(&data)).await;
        let refs = host.refs(&user("al"), &repo("dev")).await.unwrap();
        let now = commits.iter().position(|commit| refs.values().any(|id| id.as_str() == commit)).unwrap();
        assert!(now >= accepted, "push {accepted} was accepted, {now} stands");
        let told = afters(&host, &start).await;
        let told: Vec<usize> =
            told.iter().filter_map(|id| commits.iter().position(|commit| commit == id)).collect();
        assert!(told.is_sorted() && told.last() == Some(&now), "{told:?} {now}");
        for key in host.keys(&user("al")).await.unwrap() {
            assert!(key.title.starts_with("lunchbadger-internal-"));
        }
        host.close().await;
        drop(host);
    }
    let git = lb_testkit::git::Git::new();
    git.run(&bare(&data), &["-c", "safe.directory=*", "fsck", "--strict", "--no-dangling"]).await;
    assert!(accepted > 0, "it was always killed too early to show anything");
}

/// Starts the child, waits until it has accepted some pushes, and kills it in the middle of the next ones.
fn run_and_kill(directory: &Path, after: usize) -> usize {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crash::child", "--nocapture"]).env(CHILD, directory);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let pushes = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("accepted ")?.parse().ok());
    let last = pushes.take(after).last().unwrap_or(0);
    child.kill().unwrap();
    child.wait().unwrap();
    last
}

/// Bodies of pushes, each one commit further, and the commits.
async fn make_bodies(directory: &Path) -> Vec<String> {
    fs::create_dir_all(directory).unwrap();
    let git = lb_testkit::git::Git::new();
    let clone = git.init("unused").await;
    let mut commits: Vec<String> = vec!["0".repeat(40)];
    for number in 1..=PUSHES {
        clone.write("a", number.to_string());
        let (new, old) = (clone.commit("more").await, commits[number - 1].clone());
        let revisions = if number == 1 { new.clone() } else { format!("{new}\n^{old}") };
        clone.write(".git/revisions", format!("{revisions}\n"));
        let body = directory.join(number.to_string());
        let line = format!("{old} {new} refs/heads/master\0report-status");
        fs::write(&body, format!("{:04x}{line}0000", line.len() + 4)).unwrap();
        let alias =
            format!("alias.p=!git pack-objects --revs --stdout -q < .git/revisions >> {}", body.display());
        clone.run(&["-c", &alias, "p"]).await;
        commits.push(new);
    }
    commits
}

/// Does nothing, but in the process that [`run_and_kill`] starts: pushes on from where the repository is.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(directory) = lb_testkit::environment(CHILD).map(PathBuf::from) else { return };
    let host = open(&directory.join("data")).await.unwrap();
    let now = host.refs(&user("al"), &repo("dev")).await.unwrap().into_values().next();
    let now = now.map_or_else(|| "0".repeat(40), String::from);
    let bodies = (1..=PUSHES)
        .map(|number| (number, fs::read(directory.join("bodies").join(number.to_string())).unwrap()));
    for (number, body) in bodies.skip_while(|(_, body)| !body[4..].starts_with(now.as_bytes())) {
        host.add_key(&user("al"), "lunchbadger-internal-x", &crate::people::key(7)).await.unwrap();
        let answer = crate::pushes::read_all(
            host.rpc(&user("al"), &repo("dev"), crate::pushes::push_of(body)).await.unwrap(),
        )
        .await
        .unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("ok refs/heads/master"));
        std::io::Write::write_all(&mut std::io::stdout(), format!("accepted {number}\n").as_bytes()).unwrap();
    }
}
