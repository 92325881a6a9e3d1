//! The stream of changes, as the rest of the system reads it.

use lb_git::{ChangeKind, GitHost};
use lb_vocab::{CommitId, Timestamp};

use crate::contract::changes::lines;
use crate::server::{Server, login, repo, user};

#[tokio::test]
async fn everything_that_happens_appears_once_and_in_order_also_after_a_restart() {
    let server = Server::start().await;
    let mut latest = server.host.subscribe();
    let start = latest.borrow_and_update().clone();
    let al = server.al().await;
    server.clock.set(Timestamp(1_800_000_000_000));
    let (commit, _) = al.commit_and_push("first").await;
    assert!(latest.has_changed().unwrap());
    server.host.create_user(&user("bob")).await.unwrap();
    server.host.create_user(&user("bob")).await.unwrap();
    server.host.ensure_repository(&user("bob"), &repo("functions")).await.unwrap();
    server.host.delete_repository(&user("bob"), &repo("functions")).await.unwrap();
    server.host.ensure_repository(&user("bob"), &repo("dev")).await.unwrap();
    server.host.delete_user(&user("bob")).await.unwrap();
    let expected = [
        "al dev refs/heads/master",
        "bob - created",
        "bob functions created",
        "bob functions deleted",
        "bob dev created",
        "bob dev deleted",
        "bob - deleted",
    ];
    let changes = server.host.changes(Some(&start)).await.unwrap();
    assert_eq!(lines(&changes.changes), expected);
    let first = &changes.changes[0];
    let commit: CommitId = commit.parse().unwrap();
    let push = ChangeKind::Push {
        ref_name: "refs/heads/master".parse().unwrap(),
        before: None,
        after: Some(commit.clone()),
        actor: Some(login("al")),
    };
    assert_eq!(first.kind, push);
    let dev = server.host.repository(&user("al"), &repo("dev")).await.unwrap().unwrap();
    assert_eq!((dev.empty, dev.updated), (false, Timestamp(1_800_000_000_000)));
    let after_first = first.cursor.clone();

    let (host, _directory) = server.reopen().await;
    assert_eq!(lines(&host.changes(Some(&after_first)).await.unwrap().changes), expected[1..]);
    let reset = host.changes(None).await.unwrap();
    assert!(reset.reset);
    assert_eq!(lines(&reset.changes), ["al - created", "al dev refs/heads/master"]);
    assert_eq!(lines(&host.changes(Some(&reset.cursor)).await.unwrap().changes), [""; 0]);
}
