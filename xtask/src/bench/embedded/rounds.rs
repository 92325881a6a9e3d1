//! Which of a producer's pushes its first gateway's Deployment stands for, as somebody else sees it.
//!
//! Where several pushes are applied at once, counting the Deployment's generations does not tell which one it is. The
//! Deployment names the Secret that its pods are configured by, and the paths in that Secret name the push.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, Client, ResourceExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::population::name;
use super::pushes::deployment;
use crate::bench::measure::now;
use crate::bench::system::NAMESPACE;

#[derive(Default)]
struct Seen {
    /// Configurations by name, and the push that each is of.
    configurations: HashMap<String, usize>,
    /// The configurations that the Deployment has named, each with the moment.
    named: Vec<(String, SystemTime)>,
}

/// A running watch of one producer.
pub(super) struct Rounds {
    seen: Arc<Mutex<Seen>>,
    _watches: JoinSet<()>,
}

impl Rounds {
    /// Watches, from what stands on.
    pub(super) fn watch(client: &Client, index: usize) -> Self {
        let (seen, mut watches): (Arc<Mutex<Seen>>, _) = (Arc::default(), JoinSet::new());
        let own = WatchParams::default().labels(&format!("producer={}", name(index)));
        let (noted, api) = (Arc::clone(&seen), Api::<Secret>::namespaced(client.clone(), NAMESPACE));
        watches.spawn(follow(api, own.clone(), move |secret: Secret| {
            if let Some(round) = round(&secret) {
                lock(&noted).configurations.insert(secret.name_any(), round);
            }
        }));
        let (noted, wanted) = (Arc::clone(&seen), deployment(index));
        let api = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
        watches.spawn(follow(api, own, move |found: Deployment| {
            let when = now();
            let named = configuration(&found).filter(|_| found.name_any() == wanted);
            let mut seen = lock(&noted);
            if let Some(named) = named
                && seen.named.last().is_none_or(|(last, _)| *last != named)
            {
                seen.named.push((named, when));
            }
        }));
        Self { seen, _watches: watches }
    }

    /// The pushes that the Deployment has stood for, each with the moment when that was seen.
    pub(super) fn stood(&self) -> Vec<(usize, SystemTime)> {
        let seen = lock(&self.seen);
        let known = seen.named.iter();
        known.filter_map(|(named, when)| Some((*seen.configurations.get(named)?, *when))).collect()
    }

    /// Waits until it stands for this push, and answers when it first did.
    pub(super) async fn until(&self, wanted: usize, patience: Duration) -> Result<SystemTime> {
        let begin = Instant::now();
        loop {
            let stood = self.stood();
            if let Some((_, when)) = stood.iter().find(|(round, _)| *round == wanted) {
                return Ok(*when);
            }
            if begin.elapsed() > patience {
                bail!("push {wanted} was not seen to stand within {patience:?}, but {stood:?}");
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says everything that stands and comes to stand.
async fn follow<K>(api: Api<K>, own: WatchParams, say: impl Fn(K))
where
    K: Clone + Debug + DeserializeOwned,
{
    loop {
        // "0" says first what stands already.
        let Ok(events) = api.watch(&own, "0").await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let mut events = std::pin::pin!(events);
        while let Some(Ok(event)) = events.next().await {
            if let WatchEvent::Added(object) | WatchEvent::Modified(object) = event {
                say(object);
            }
        }
    }
}

/// The configuration that a gateway's Deployment names.
fn configuration(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.template.spec.as_ref()?;
    let prefix = format!("{}-", deployment.name_any());
    let secrets =
        pod.volumes.iter().flatten().filter_map(|volume| volume.secret.as_ref()?.secret_name.clone());
    secrets.into_iter().find(|name| name.starts_with(&prefix))
}

/// The push that a configuration is of.
fn round(secret: &Secret) -> Option<usize> {
    let text = secret.data.as_ref()?.get("gateway.config.yml")?;
    let text = String::from_utf8_lossy(&text.0);
    let (_, rest) = text.split_once("/round-")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    #[test]
    fn a_configuration_tells_which_push_it_is_of() {
        let of = |text: &str| {
            let data = [("gateway.config.yml".to_owned(), ByteString(text.as_bytes().to_vec()))];
            round(&Secret { data: Some(data.into()), ..Secret::default() })
        };
        assert_eq!(of(r#"{"paths":["/things-0/round-17","/things-0/round-17/*"]}"#), Some(17));
        assert_eq!(of("{}"), None);
    }
}
