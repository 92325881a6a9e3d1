//! What can only be shown from inside: a journal that cannot be written.

use std::fs::{self, File};

use lb_testkit::clock::ManualClock;

use super::*;
use crate::host::GitHost;
use crate::types::ChangeKind;

fn user(name: &str) -> GitUser {
    GitUser { prefix: "customer".parse().unwrap(), name: name.to_owned() }
}

/// As with a full disk.
#[tokio::test]
async fn nobody_is_told_half_of_what_happened() {
    let directory = tempfile::tempdir().unwrap();
    let host = Embedded::open(Settings::new(directory.path()), ManualClock::default().clock()).await.unwrap();
    let dev: RepoName = "dev".parse().unwrap();
    for name in ["al", "bob"] {
        host.create_user(&user(name)).await.unwrap();
        host.ensure_repository(&user(name), &dev).await.unwrap();
    }
    let start = host.subscribe().borrow().clone();
    let good = host.0.journal.swap_file(File::open(directory.path().join("journal")).unwrap());
    for name in ["al", "bob"] {
        let target = host.0.target(&user(name), &dev).unwrap();
        fs::write(target.directory.join("refs/heads/master"), "1".repeat(40)).unwrap();
        assert!(host.0.observe(&target, None).await.is_err());
    }
    assert!(host.create_user(&user("eve")).await.is_err());
    assert!(host.changes(Some(&start)).await.is_err());
    assert!(host.changes(None).await.is_err());

    host.0.journal.swap_file(good);
    // One that cannot be read any more does not stop the others.
    fs::write(host.0.target(&user("bob"), &dev).unwrap().directory.join("refs/heads/master"), "").unwrap();
    let changes = host.changes(Some(&start)).await.unwrap().changes;
    let told: Vec<_> =
        changes.iter().map(|change| (&*change.user.name, change.kind == ChangeKind::Created)).collect();
    assert_eq!(told, [("al", false), ("eve", true)]);
    fs::write(host.0.target(&user("bob"), &dev).unwrap().directory.join("refs/heads/master"), "2".repeat(40))
        .unwrap();
    let changes = host.changes(Some(&changes[1].cursor)).await.unwrap().changes;
    assert_eq!(changes.len(), 1);
    assert_eq!(host.changes(Some(&changes[0].cursor)).await.unwrap().changes, []);
}
