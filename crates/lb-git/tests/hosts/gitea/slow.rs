//! A Gitea that is silent, and readers that stand still.

use std::time::{Duration, Instant};

use futures::StreamExt;
use lb_git::{GitHost, HostError, Rpc, Service};
use lb_testkit::eventually;
use lb_testkit::gitea::Gitea as RealGitea;

use super::proxy::{Act, Proxy};
use super::world::{Behind, PAUSE};
use crate::contract::world::repo;
use crate::pushes::{noise, push_of, read_all};

/// A silent Gitea is an error in time; after five failures nothing waits for it, and one request at a time looks
/// whether it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_an_error_in_time_and_soon_at_once() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let real = RealGitea::shared().await;
    let behind = Behind::new(real, Proxy::before(real.url()).await, |settings| {
        settings.timeout = Duration::from_millis(200);
    })
    .await
    .still()
    .await;
    let al = behind.user("al");
    let silent = async || match behind.host.user(&al).await {
        Err(HostError::Unreachable { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    behind.proxy.asked();
    behind.proxy.does(|_| Act::Hang);
    let begun = Instant::now();
    assert!(!silent().await.contains("in a row"));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(behind.master("dev").await.is_err());
    silent().await;
    assert_eq!(behind.proxy.asked().len(), 5, "the breaker is open from the fifth failure on");
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(silent().await.contains("asked again in 500 ms"));
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(behind.proxy.asked(), [""; 0]);
    behind.clock.advance(Duration::from_millis(500));
    let answers = futures::future::join_all((0..8).map(|_| silent())).await;
    assert_eq!(answers.iter().filter(|why| !why.contains("in a row")).count(), 1, "{answers:?}");
    assert_eq!(behind.proxy.asked().len(), 1, "the probe");
    behind.proxy.heal();
    behind.clock.advance(Duration::from_millis(999));
    assert!(silent().await.contains("asked again in 1 ms"));
    eventually("it is asked again", async || {
        behind.clock.advance(PAUSE);
        let user = behind.host.user(&al).await.map_err(|error| error.to_string())?;
        let master = behind.master("dev").await.map_err(|error| error.to_string())?;
        assert!(user.is_some() && master.is_none());
        Ok::<_, String>(())
    })
    .await;
}

/// As many readers stand still as may fetch at a time: nothing is read from Gitea on their behalf, and with them their
/// turns go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_that_stands_still_costs_a_turn_until_its_reader_is_gone() {
    if lb_testkit::skip::needs_gitea().is_none() {
        return;
    }
    let real = RealGitea::shared().await;
    let behind = Behind::new(real, Proxy::before(real.url()).await, |settings| settings.streams = 4).await;
    let clone = behind.directly("al", "dev").await;
    let large = noise(6 << 20);
    let (commit, _) = clone.write("large", &large).commit_and_push("large").await;
    let (al, dev) = (behind.user("al"), repo("dev"));
    let fetch = async || {
        let body = format!("0032want {commit}\n00000009done\n");
        let rpc = Rpc { service: Service::UploadPack, ..push_of(body.into_bytes()) };
        behind.host.rpc(&al, &dev, rpc).await.unwrap()
    };
    let mut still = Vec::new();
    for _ in 0..4 {
        let mut answer = fetch().await;
        assert_eq!(answer.next().await.unwrap().unwrap().slice(..8), "0008NAK\n");
        still.push(answer);
    }
    drop(still);
    let whole = read_all(fetch().await).await.unwrap();
    assert!(whole.len() > large.len(), "{} bytes", whole.len());
}
