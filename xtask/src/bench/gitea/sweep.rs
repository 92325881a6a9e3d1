//! How many requests to Gitea a sweep takes when nothing changed, with 1,000 producers.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Client;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::store::Store;
use super::{producers, roles};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::roles::Roles;
use crate::say::say;

/// Sweeps that are counted.
const SWEEPS: usize = 20;
/// How long after a start sweeps go back to when all of this Gitea was made, which was at once.
const SLACK: Duration = Duration::from_secs(125);

/// Runs it.
pub(in crate::bench) async fn sweep(bench: &mut Bench) -> Result<()> {
    let producers = producers(bench.quick);
    let store = Store::open(producers).await?;
    let mut roles = roles(&bench.program, &bench.directory.join("gitea-sweep"), None, &store.gitea)?;
    let (before, begin) = (store.requests()?.len(), Instant::now());
    roles.start_services().await?;
    let mut cursor = changes(&roles, &roles.http, None).await?;
    let seconds = begin.elapsed().as_secs_f64();
    bench.figures.note(
        format!("start with {producers} producers, until changes are told"),
        "s",
        Limit::Told,
        seconds,
    );
    cursor = quiet(&store, &roles, cursor).await?;
    let first = settled(&store).await? - before;
    bench.figures.note("requests to Gitea until then", "", Limit::Told, first as f64);
    if !bench.quick {
        let before = store.requests()?.len();
        cursor = changes(&roles, &roles.http, Some(&cursor)).await?;
        let most = (settled(&store).await? - before) as f64;
        // What changed within that time is read again, as long as that lasts: more than one page where it was all of it.
        bench.figures.note("requests to Gitea per sweep right after the start", "", Limit::Told, most);
        say(&format!("waiting for {} s, as long as a sweep goes back", SLACK.as_secs()));
        sleep(SLACK).await;
        // The sweep after that time is the first that knows of it.
        cursor = changes(&roles, &roles.http, Some(&cursor)).await?;
    }

    let (mut requests, mut millis) = (Vec::new(), Vec::new());
    for _ in 0..SWEEPS {
        let (before, begin) = (store.requests()?.len(), Instant::now());
        cursor = changes(&roles, &roles.http, Some(&cursor)).await?;
        millis.push(begin.elapsed().as_secs_f64() * 1000.0);
        requests.push((settled(&store).await? - before) as f64);
    }
    let most = percentile(&mut requests, 1.0);
    bench.figures.note("requests to Gitea per sweep, nothing changed", "", Limit::AtMost(3.0), most);
    bench.figures.note("time of such a sweep, median", "ms", Limit::Told, percentile(&mut millis, 0.5));
    roles.stop().await;
    Ok(())
}

/// Sweeps, and answers the new cursor.
async fn changes(roles: &Roles, http: &Client, after: Option<&str>) -> Result<String> {
    let mut request = http.get(format!("{}/changes", roles.git_api.url()));
    if let Some(after) = after {
        request = request.query(&[("after", after)]);
    }
    let answer = roles.as_operator(request).send().await.and_then(reqwest::Response::error_for_status);
    let answer: Value = answer.context("sweep at git-api")?.json().await.context("read a sweep's answer")?;
    answer["cursor"].as_str().map(str::to_owned).context("a sweep's answer has no cursor")
}

/// How many requests Gitea has noted, once it notes no more.
async fn settled(store: &Store) -> Result<usize> {
    let mut last = store.requests()?.len();
    loop {
        sleep(Duration::from_millis(100)).await;
        let now = store.requests()?.len();
        if now == last {
            return Ok(now);
        }
        last = now;
    }
}

/// Sweeps until a sweep reads no repository: the seconds of all stamps are over.
async fn quiet(store: &Store, roles: &Roles, mut cursor: String) -> Result<String> {
    loop {
        let before = store.requests()?.len();
        cursor = changes(roles, &roles.http, Some(&cursor)).await?;
        settled(store).await?;
        if !store.requests()?[before..].iter().any(|request| request.contains("git-upload-pack")) {
            return Ok(cursor);
        }
        sleep(Duration::from_millis(500)).await;
    }
}
