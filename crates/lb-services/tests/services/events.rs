//! Streams of changes: nothing is missed.

use futures::{Stream, StreamExt};
use lb_http::contract::ClientError;
use lb_http::contract::git_api::{Change, ChangeEvent, ChangeKind};
use tokio::time::{Duration, timeout};

use crate::world::{World, repo, user};

const SOON: Duration = Duration::from_secs(20);

pub(crate) async fn next<T>(stream: &mut (impl Stream<Item = Result<T, ClientError>> + Unpin)) -> T {
    timeout(SOON, stream.next()).await.expect("an event in time").expect("the stream goes on").unwrap()
}

pub(crate) fn pushed(change: &Change) -> Option<String> {
    match &change.kind {
        ChangeKind::Push { after, .. } => after.as_ref().map(ToString::to_string),
        ChangeKind::Created | ChangeKind::Deleted => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_a_cursor_begins_with_the_heads_and_goes_on() {
    let world = World::populated().await;
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let (first, _) = clone.write("a", "1").commit_and_push("first").await;
    let mut stream = world.git("system").change_stream(None).await.unwrap();
    let ChangeEvent::Reset(reset) = next(&mut stream).await else { panic!("a reset comes first") };
    assert!(reset.changes.iter().any(|change| pushed(change).as_ref() == Some(&first)));
    let (second, _) = clone.write("a", "2").commit_and_push("second").await;
    let ChangeEvent::Change(change) = next(&mut stream).await else { panic!("a change") };
    assert_eq!((change.user, change.repo), (user("al"), Some(repo("dev"))));
    let ChangeKind::Push { reference, before, after, actor } = change.kind else { panic!("a push") };
    assert_eq!(reference, "refs/heads/master");
    assert_eq!((before.unwrap().as_str(), after.unwrap().as_str()), (first.as_str(), second.as_str()));
    assert_eq!(actor.as_deref(), Some("customer-al"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_comes_and_goes_misses_nothing() {
    let world = World::populated().await;
    let git = world.git("system");
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let mut cursor = git.changes(None).await.unwrap().cursor;
    let (mut sent, mut seen) = (Vec::new(), Vec::new());
    for round in 0..6 {
        // Some pushes happen while nobody listens, some while somebody does.
        let (away, _) = clone.write("a", format!("{round} away")).commit_and_push("away").await;
        let mut stream = git.change_stream(Some(&cursor)).await.unwrap();
        let (there, _) = clone.write("a", format!("{round} there")).commit_and_push("there").await;
        sent.extend([away, there.clone()]);
        while seen.last() != Some(&there) {
            let ChangeEvent::Change(change) = next(&mut stream).await else {
                panic!("no reset: the cursor is known")
            };
            cursor.clone_from(&change.cursor);
            seen.extend(pushed(&change));
        }
    }
    seen.dedup();
    assert_eq!(seen, sent);
    let swept = git.changes(Some(&cursor)).await.unwrap();
    assert!(!swept.reset && swept.changes.is_empty());
    assert!(git.changes(Some("no-such-cursor")).await.unwrap().reset);
    assert!(git.changes(Some("%%%")).await.unwrap().reset);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producers_stream_tells_its_pushes_and_whose_they_are() {
    let world = World::populated().await;
    lb_testkit::eventually("the configstore follows git-api", || async {
        let url = format!("http://{}/ready", world.configstore);
        let status = world.http.get(url).send().await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
    let mut stream = world.configstore().change_stream(&"al".parse().unwrap()).await.unwrap();
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let bobs = world.person("bob").await.init(&world.url("bob", "dev")).await;
    bobs.write("b", "b").commit_and_push("bob's, which al does not see").await;
    let (first, _) = clone.write("a", "1").commit_and_push("al's").await;
    clone.run(&["push", "--quiet", "origin", "HEAD:refs/lunchbadger/openapi/dev"]).await;
    let platform = ["-c", "committer.email=support@lunchbadger.com", "-c", "committer.name=LunchBadger"];
    clone
        .run(
            &[&platform[..], &["commit", "--quiet", "--allow-empty", "--message", "the platform's"]].concat(),
        )
        .await;
    let second = clone.run(&["rev-parse", "HEAD"]).await;
    assert!(clone.push().await.accepted);
    let event = next(&mut stream).await;
    assert_eq!((event.after.as_str(), event.before.as_str()), (first.as_str(), "0".repeat(40).as_str()));
    assert_eq!(
        (event.namespace.as_str(), event.username.as_str(), event.repo_name.as_str()),
        ("customer", "al", "dev")
    );
    assert_eq!(
        (event.reference.as_str(), event.kind.as_str(), event.is_external),
        ("refs/heads/master", "push", true)
    );
    let event = next(&mut stream).await;
    assert_eq!(
        (event.before.as_str(), event.after.as_str(), event.is_external),
        (first.as_str(), second.as_str(), false)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producers_stream_resumes_behind_its_last_event() {
    let world = World::populated().await;
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let cursor = world.git("system").changes(None).await.unwrap().cursor;
    let (first, _) = clone.write("a", "1").commit_and_push("one").await;
    let (second, _) = clone.write("a", "2").commit_and_push("two").await;
    let request = world
        .http
        .get(format!("http://{}/change-stream/al", world.configstore))
        .header("last-event-id", cursor);
    let response = request.bearer_auth(crate::world::token("owner").reveal()).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut bytes = response.bytes_stream();
    let mut text = String::new();
    while !text.contains(&format!("\"after\":\"{second}\"")) {
        let chunk = timeout(SOON, bytes.next()).await.expect("in time").unwrap().unwrap();
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert!(text.contains(&format!("\"after\":\"{first}\"")) && text.contains("event: data"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_blocks_nobody() {
    let world = World::populated().await;
    let _asleep = world.git("system").change_stream(None).await.unwrap();
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    for n in 0..20 {
        clone.write("a", n.to_string()).commit_and_push("n").await;
    }
    let mut awake = world.git("system").change_stream(None).await.unwrap();
    assert!(matches!(next(&mut awake).await, ChangeEvent::Reset(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_git_api_is_away_is_told_when_it_is_back() {
    let port = lb_testkit::free_port();
    let address = format!("127.0.0.1:{port}");
    // The world's own git-api goes on serving pushes; the configstore follows another one over the same host.
    let world = World::with(&[("GIT_API_URL", &format!("http://{address}"))]).await;
    let tokens = world.directory.path().join("tokens").display().to_string();
    let key = world.directory.path().join("key.pem").display().to_string();
    let environment =
        [("GIT_API_LISTEN", address), ("AUTH_TOKENS_FILE", tokens), ("AUTH_SIGNING_KEY_FILE", key)];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
    let start = async || {
        let stop = tokio_util::sync::CancellationToken::new();
        crate::world::start_git_api(
            &environment,
            std::sync::Arc::clone(&world.host),
            None,
            &world.clock,
            &stop,
        )
        .await;
        stop
    };
    let first = start().await;
    world.configstore().create(&"al".parse().unwrap()).await.unwrap();
    lb_testkit::eventually("the configstore follows git-api", || async {
        let url = format!("http://{}/ready", world.configstore);
        let status = world.http.get(url).send().await.unwrap().status();
        if status == 200 { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
    let mut stream = world.configstore().change_stream(&"al".parse().unwrap()).await.unwrap();
    let clone = world.person("al").await.init(&world.url("al", "dev")).await;
    let (there, _) = clone.write("a", "1").commit_and_push("there").await;
    assert_eq!(next(&mut stream).await.after, there);
    first.cancel();
    lb_testkit::eventually("git-api is away", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.map_or(Ok(()), |_| Err("still there"))
    })
    .await;
    let (away, _) = clone.write("a", "2").commit_and_push("away").await;
    let _second = start().await;
    let event = next(&mut stream).await;
    assert_eq!((event.before, event.after), (there, away));
}
