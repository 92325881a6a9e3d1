//! Somebody who watches all producers until what they keep in git stands.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::bench::measure::now;
use crate::say::say;

/// Waits until so many producers are applied; answers when the last one was seen to be.
pub(super) async fn until_applied(
    client: Client,
    producers: usize,
    patience: Duration,
) -> Result<SystemTime> {
    let api = api(client);
    let (end, mut said) = (Instant::now() + patience, Instant::now());
    let mut applied = BTreeSet::new();
    while Instant::now() < end {
        // "0" says first what stands already.
        let events = api.watch(&WatchParams::default(), "0").await.context("watch LBProducers")?;
        let mut events = std::pin::pin!(events);
        while let Ok(Some(Ok(event))) = timeout_at(end, events.next()).await {
            let (WatchEvent::Added(object) | WatchEvent::Modified(object)) = event else { continue };
            if is_applied(&object) {
                applied.insert(object.name_any());
            }
            if applied.len() >= producers {
                return Ok(now());
            }
            if said.elapsed() > Duration::from_secs(10) {
                say(&format!("{} of {producers} producers are applied", applied.len()));
                said = Instant::now();
            }
        }
    }
    bail!("{} of {producers} producers are applied after {patience:?}", applied.len())
}

/// Waits until so many producers are known, applied or not.
pub(super) async fn until_known(client: Client, producers: usize, patience: Duration) -> Result<()> {
    let (api, begin) = (api(client), Instant::now());
    loop {
        let known = api.list_metadata(&ListParams::default()).await.context("list LBProducers")?.items.len();
        if known >= producers {
            return Ok(());
        }
        if begin.elapsed() > patience {
            bail!("{known} of {producers} producers are known after {patience:?}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// How many are.
pub(super) async fn applied(client: Client) -> Result<usize> {
    let all = api(client).list(&ListParams::default()).await.context("list LBProducers")?;
    Ok(all.iter().filter(|producer| is_applied(producer)).count())
}

fn api(client: Client) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("lunchbadger.io", "v1alpha1", "LBProducer"));
    Api::all_with(client, &kind)
}

fn is_applied(producer: &DynamicObject) -> bool {
    let environment = &producer.data["status"]["environments"]["dev"];
    let conditions = environment["conditions"].as_array().into_iter().flatten();
    let stands = conditions
        .into_iter()
        .any(|condition| condition["type"] == "Applied" && condition["status"] == "True");
    stands && environment["applied"]["dev"].is_string()
}
