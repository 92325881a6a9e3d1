//! Somebody else who watches: when a Deployment's new spec was seen, and by whom nobody of ours was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::measure::now;
use super::system::NAMESPACE;

/// Generations of each Deployment, and when each was seen first.
type Seen = HashMap<String, Vec<(i64, SystemTime)>>;

/// A running watch of all Deployments.
pub(super) struct Watcher {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watcher {
    /// Lists, then watches.
    pub(super) async fn start(client: Client) -> Result<Self> {
        let api: Api<Deployment> = Api::namespaced(client, NAMESPACE);
        let listed = api.list_metadata(&ListParams::default()).await.context("list Deployments")?;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        for object in &listed {
            note(&seen, object.name_any(), object.metadata.generation);
        }
        let mut version = listed.metadata.resource_version.unwrap_or_default();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let Ok(events) = api.watch_metadata(&WatchParams::default(), &version).await else {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let mut events = std::pin::pin!(events);
                while let Some(Ok(event)) = events.next().await {
                    if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                        note(&noted, object.name_any(), object.metadata.generation);
                    }
                }
                // What stands is said again then: the last version may be gone.
                "0".clone_into(&mut version);
            }
        });
        Ok(Self { seen, task })
    }

    /// The newest generation of a Deployment that was seen; 0 where none was.
    pub(super) fn generation(&self, name: &str) -> i64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name).and_then(|all| all.last()).map_or(0, |(generation, _)| *generation)
    }

    /// When a generation of a Deployment, or a later one, was seen first.
    pub(super) fn when(&self, name: &str, generation: i64) -> Option<SystemTime> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(name)?.iter().find(|(seen, _)| *seen >= generation).map(|(_, when)| *when)
    }

    /// Waits until it is seen, and answers when it was.
    pub(super) async fn until(&self, name: &str, generation: i64, patience: Duration) -> Result<SystemTime> {
        let begin = Instant::now();
        loop {
            if let Some(when) = self.when(name, generation) {
                return Ok(when);
            }
            if begin.elapsed() > patience {
                bail!("generation {generation} of Deployment {name} was not seen within {patience:?}");
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn note(seen: &Mutex<Seen>, name: String, generation: Option<i64>) {
    let (generation, when) = (generation.unwrap_or_default(), now());
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let all = seen.entry(name).or_default();
    if all.last().is_none_or(|(last, _)| *last < generation) {
        all.push((generation, when));
    }
}
