//! A Gitea that is silent.

use std::time::{Duration, Instant};

use lb_git::{GitHost, HostError};
use lb_testkit::eventually;
use lb_testkit::gitea::Gitea as RealGitea;

use super::proxy::{Act, Proxy};
use super::world::{Behind, PAUSE};

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
