//! The stream of changes, as the rest of the system reads it.

use lb_git::{Change, ChangeKind, Changes, Cursor};
use lb_testkit::eventually;
use lb_vocab::CommitId;

use super::over_every_host;
use super::world::{World, repo};

over_every_host!(
    what_happens_through_the_host_is_told_at_once_and_in_order,
    a_reset_tells_of_everything_that_stands,
    a_sweep_without_news_is_empty,
);

/// Changes as lines; the prefix is left out.
pub(crate) fn lines(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let repo = change.repo.as_ref().map_or("-", |repo| repo.as_str());
        match &change.kind {
            ChangeKind::Push { ref_name, .. } => format!("{} {repo} {ref_name}", change.user.name),
            ChangeKind::Created => format!("{} {repo} created", change.user.name),
            ChangeKind::Deleted => format!("{} {repo} deleted", change.user.name),
        }
    };
    changes.iter().map(line).collect()
}

pub(super) async fn after(world: &World, cursor: &Cursor) -> Changes {
    let changes = world.host.changes(Some(cursor)).await.unwrap();
    assert!(!changes.reset);
    changes
}

async fn what_happens_through_the_host_is_told_at_once_and_in_order(world: World) {
    let mut latest = world.host.subscribe();
    let start = world.host.changes(None).await.unwrap().cursor;
    latest.mark_unchanged();
    let al = world.al().await;
    let (commit, remote) = al.commit_and_push("first").await;
    assert_eq!(remote.last().map(String::as_str), Some("1 moved"), "{remote:?}");
    eventually("the push is told", || async {
        if latest.has_changed().unwrap() { Ok(()) } else { Err("nothing yet") }
    })
    .await;
    world.host.create_user(&world.user("bob")).await.unwrap();
    world.host.create_user(&world.user("bob")).await.unwrap();
    world.host.ensure_repository(&world.user("bob"), &repo("functions")).await.unwrap();
    world.host.delete_repository(&world.user("bob"), &repo("functions")).await.unwrap();
    world.host.ensure_repository(&world.user("bob"), &repo("dev")).await.unwrap();
    world.host.delete_user(&world.user("bob")).await.unwrap();
    let changes = after(&world, &start).await;
    let told = lines(&changes.changes);
    let mut expected = vec![
        "al dev refs/heads/master",
        "bob - created",
        "bob functions created",
        "bob functions deleted",
        "bob dev created",
        "bob dev deleted",
        "bob - deleted",
    ];
    if !told.contains(&"bob dev deleted".to_owned()) {
        // A user that goes takes its repositories along: whether they are told of one by one is the host's choice.
        expected.retain(|line| *line != "bob dev deleted");
    }
    assert_eq!(told, expected);
    let push = ChangeKind::Push {
        ref_name: "refs/heads/master".parse().unwrap(),
        before: None,
        after: Some(commit.parse().unwrap()),
        actor: Some(world.login("al")),
    };
    assert_eq!(changes.changes[0].kind, push);
    assert_eq!(lines(&after(&world, &changes.changes[0].cursor).await.changes), expected[1..]);
}

async fn a_reset_tells_of_everything_that_stands(world: World) {
    let al = world.al().await;
    let (commit, _) = al.commit_and_push("first").await;
    assert!(al.push_to("HEAD:refs/lunchbadger/openapi/dev").await.accepted);
    // Nothing is deployed from these.
    assert!(al.push_to("HEAD:refs/heads/topic").await.accepted);
    world.host.ensure_repository(&world.user("al"), &repo("functions")).await.unwrap();
    for cursor in [None, Some("0000-7".parse().unwrap())] {
        let reset = world.host.changes(cursor.as_ref()).await.unwrap();
        assert!(reset.reset);
        assert_eq!(
            lines(&reset.changes),
            [
                "al - created",
                "al dev refs/heads/master",
                "al dev refs/lunchbadger/openapi/dev",
                "al functions created",
            ]
        );
        assert_eq!(lines(&after(&world, &reset.cursor).await.changes), [""; 0]);
    }
    let heads = world.host.refs(&world.user("al"), &repo("dev")).await.unwrap();
    let commit: CommitId = commit.parse().unwrap();
    assert_eq!(heads.values().collect::<Vec<_>>(), [&commit; 3]);
}

async fn a_sweep_without_news_is_empty(world: World) {
    let al = world.al().await;
    al.commit_and_push("first").await;
    let start = world.host.changes(None).await.unwrap().cursor;
    for _ in 0..5 {
        let changes = after(&world, &start).await;
        assert_eq!((lines(&changes.changes), &changes.cursor), (Vec::new(), &start));
    }
}
