//! What happens at Gitea itself is noticed, whatever its clock says, and after a restart.

use std::time::Duration;

use lb_git::{ChangeKind, GitHost, Login};
use lb_testkit::eventually;
use lb_testkit::gitea::{Gitea as RealGitea, Options};
use reqwest::Method;
use serde_json::json;

use super::proxy::{Act, Proxy};
use super::world::{Behind, PAUSE};
use crate::contract::changes::lines;
use crate::contract::world::repo;

const MASTER: &str = "al dev refs/heads/master";

/// Somebody who is made at Gitea itself.
fn person(login: &Login) -> serde_json::Value {
    json!({"username": login.as_str(), "email": format!("{login}@example.com"), "password": "Aa1!Aa1!Aa1!"})
}

async fn world() -> Option<Behind> {
    lb_testkit::skip::needs_gitea()?;
    let real = RealGitea::shared().await;
    let proxy = Proxy::before(real.url()).await;
    Some(Behind::new(real, proxy, |settings| settings.walk_interval = Duration::from_secs(60)).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn branches_that_are_forced_renamed_and_deleted_there_are_told() {
    let Some(behind) = world().await else { return };
    let clone = behind.directly("al", "dev").await;
    clone.commit_and_push("first").await;
    let dev = format!("repos/{}/dev", behind.login("al"));
    let start = eventually("the first push is told", async || {
        let changes = behind.host.changes(None).await.map_err(|error| error.to_string())?;
        let told = lines(&changes.changes);
        if told == ["al - created", MASTER] { Ok(changes.cursor) } else { Err(format!("{told:?}")) }
    })
    .await;
    behind.settle(&start).await;
    clone.run(&["commit", "--quiet", "--amend", "--allow-empty", "--message", "other"]).await;
    assert!(clone.push_to("+HEAD:refs/heads/master").await.accepted);
    let forced = behind.told(&start, &[MASTER]).await;
    assert!(clone.push_to("HEAD:refs/heads/topic").await.accepted);
    let topic = behind.told(&forced, &["al dev refs/heads/topic"]).await;
    behind.settle(&topic).await;
    behind.api(Method::DELETE, &format!("{dev}/branches/topic"), json!(null)).await;
    let gone = behind.told(&topic, &["al dev refs/heads/topic"]).await;
    let last = behind.after(&topic).await.changes.remove(0).kind;
    assert!(matches!(last, ChangeKind::Push { before: Some(_), after: None, .. }), "{last:?}");
    behind.settle(&gone).await;
    behind.api(Method::PATCH, &format!("{dev}/branches/master"), json!({"name": "main"})).await;
    behind.told(&gone, &["al dev refs/heads/main", MASTER]).await;
    assert_eq!(behind.master("dev").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_push_is_lost_among_many_in_one_second() {
    let Some(behind) = world().await else { return };
    let clone = behind.directly("al", "dev").await;
    let start = behind.host.changes(None).await.unwrap().cursor;
    for round in 0..12 {
        let commit = clone.commit(&format!("round {round}")).await;
        let push = clone.push_to(&format!("HEAD:refs/heads/branch-{}", round % 3)).await;
        assert!(push.accepted, "{}", push.output);
        // Between two pushes of one second, which get one stamp.
        behind.after(&start).await;
        assert!(clone.push_to("HEAD:refs/heads/master").await.accepted);
        eventually("the second push is told", async || {
            let mut changes = behind.after(&start).await.changes;
            match changes.pop().map(|change| change.kind) {
                Some(ChangeKind::Push { after: Some(after), ref_name, .. })
                    if after.as_str() == commit && ref_name.to_string() == "refs/heads/master" =>
                {
                    Ok(())
                }
                last => Err(format!("{round}: {last:?}")),
            }
        })
        .await;
    }
    assert_eq!(behind.after(&start).await.changes.len(), 24);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_there_is_told_by_a_sweep_and_what_is_gone_by_a_walk() {
    let Some(behind) = world().await else { return };
    let start = behind.host.changes(None).await.unwrap().cursor;
    let bob = behind.login("bob");
    behind.api(Method::POST, "admin/users", person(&bob)).await;
    behind.api(Method::POST, &format!("admin/users/{bob}/repos"), json!({"name": "dev"})).await;
    let made = behind.told(&start, &["bob dev created"]).await;
    behind.api(Method::DELETE, &format!("repos/{}/dev", behind.login("al")), json!(null)).await;
    behind.api(Method::DELETE, &format!("admin/users/{bob}?purge=true"), json!(null)).await;
    behind.told(&made, &[]).await;
    behind.clock.advance(Duration::from_secs(60));
    behind.told(&made, &["al dev deleted", "bob dev deleted", "bob - deleted"]).await;
}

/// Every sweep and walk of that hour is an error, and little is asked; what happened meanwhile is told afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_without_gitea_tells_nothing_and_loses_nothing() {
    let Some(behind) = world().await else { return };
    let clone = behind.directly("al", "dev").await;
    let start = behind.host.changes(None).await.unwrap().cursor;
    clone.write("a", "1").commit_and_push("before").await;
    let before = behind.told(&start, &[MASTER]).await;
    behind.proxy.does(|_| Act::Cut);
    let (commit, _) = clone.write("a", "2").commit_and_push("meanwhile").await;
    behind.api(Method::POST, "admin/users", person(&behind.login("eve"))).await;
    behind.proxy.asked();
    for _ in 0..60 {
        behind.clock.advance(Duration::from_secs(60));
        assert!(behind.host.changes(Some(&before)).await.is_err());
        assert!(behind.host.users(&behind.prefix).await.is_err());
        assert!(behind.master("dev").await.is_err());
    }
    let asked = behind.proxy.asked().len();
    assert!(asked < 60 * 4, "{asked} requests in an hour");
    behind.proxy.heal();
    behind.clock.advance(PAUSE);
    behind.told(&before, &["eve - created", MASTER]).await;
    assert_eq!(behind.master("dev").await.unwrap().map(String::from), Some(commit));
}

/// A listing without somebody's repositories, as one that was read while they were made, is no proof.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_walk_does_not_list_is_asked_for_before_it_is_told_as_gone() {
    let Some(behind) = world().await else { return };
    let start = behind.host.changes(None).await.unwrap().cursor;
    let empty = |path: &str| match path.contains("/repos/search") {
        true => Act::Answer(200, Some(("x-total-count", "0")), r#"{"ok":true,"data":[]}"#),
        false => Act::Pass,
    };
    behind.proxy.does(empty);
    behind.clock.advance(Duration::from_secs(60));
    behind.told(&start, &[]).await;
    behind.proxy.does(move |path| if path.contains("-al/dev") { Act::Cut } else { empty(path) });
    behind.clock.advance(Duration::from_secs(60));
    behind.told(&start, &[]).await;
    behind.proxy.heal();
    behind.clock.advance(Duration::from_secs(60));
    behind.told(&start, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_giteas_date_is_no_push_is_lost() {
    let Some(behind) = world().await else { return };
    let clone = behind.directly("al", "dev").await;
    let mut cursor = behind.host.changes(None).await.unwrap().cursor;
    // An hour behind, ahead, right, back again; two pushes each, a sweep between them.
    for hours in [-1, 1, 0, -1, 1, -2] {
        behind.proxy.does(move |_| {
            Act::Edit(Box::new(move |headers| {
                let date = jiff::fmt::rfc2822::parse(headers["date"].to_str().unwrap()).unwrap();
                let date = date.timestamp() + jiff::SignedDuration::from_hours(hours);
                let text = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
                headers.insert("date", text.parse().unwrap());
            }))
        });
        for round in 0..2 {
            clone.commit_and_push(&format!("{hours} {round}")).await;
            cursor = behind.told(&cursor, &[MASTER]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_goes_on_from_the_old_cursor_and_quiet_sweeps_are_cheap() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    // Requests are counted, so nobody else may be at work there.
    let real = RealGitea::launch(Options::default()).await.unwrap();
    let behind = Behind::new(&real, Proxy::before(real.url()).await, |_| {}).await;
    let al = behind.user("al");
    for number in 0..60 {
        behind.host.ensure_repository(&al, &repo(&format!("repository-{number}"))).await.unwrap();
    }
    let clone = behind.directly("al", "repository-7").await;
    let start = behind.host.changes(None).await.unwrap().cursor;
    let cursor = behind.told(&start, &[]).await;
    let behind = behind.reopen(None).await;
    clone.commit_and_push("while nobody looks").await;
    let cursor = behind.told(&cursor, &["al repository-7 refs/heads/master"]).await;
    behind.settle(&cursor).await;
    for _ in 0..3 {
        behind.told(&cursor, &[]).await;
        let asked = behind.proxy.asked();
        assert!(asked.len() <= 3, "{asked:#?}");
    }
    clone.commit_and_push("one more").await;
    let cursor = behind.told(&cursor, &["al repository-7 refs/heads/master"]).await;
    let behind = behind.reopen(Some(tempfile::tempdir().unwrap())).await;
    let reset = behind.host.changes(Some(&cursor)).await.unwrap();
    assert!(reset.reset);
    assert_eq!(reset.changes.len(), 62);
    assert!(lines(&reset.changes).contains(&"al repository-7 refs/heads/master".to_owned()));
}
