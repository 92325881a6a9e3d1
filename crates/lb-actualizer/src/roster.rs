//! The roster: who is a producer.
//!
//! The full list creates what is new and *suspects* who is missing from it; absence from a list removes nothing. A
//! suspect is asked for by name: only two explicit answers "there is no such producer", `PRODUCER_GRACE` apart,
//! withdraw it. A producer whose git user lost one of its two repositories counts as gone likewise.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use lb_desired::crd::LBProducer;
use lb_http::contract::ClientError;
use lb_http::contract::configstore::ProducerEntry;
use lb_http::contract::git_api::Repository;
use lb_vocab::{ProducerName, RepoName, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::context::{Context, Key};
use crate::queue::Class;

/// A roster that failed is asked for again after this long.
const RETRY: Duration = Duration::from_secs(5);

/// Producers that the last full list did not have.
#[derive(Debug, Default)]
pub(crate) struct Suspects(RwLock<HashSet<ProducerName>>);

impl Suspects {
    /// Whether the last full list did not have it.
    pub(crate) fn contains(&self, producer: &ProducerName) -> bool {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains(producer)
    }

    fn replace(&self, new: HashSet<ProducerName>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
    }

    fn remove(&self, producer: &ProducerName) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(producer);
    }
}

/// What the roster says of one producer now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is one.
    Present,
    /// It was not found since that moment; the grace is not over.
    Missing {
        /// The first explicit 404.
        since: Timestamp,
    },
    /// It was not found twice, the grace apart.
    Gone {
        /// The first explicit 404.
        since: Timestamp,
    },
    /// It is not in the list, and nobody answers for certain. What holds goes on holding.
    Unconfirmed(String),
}

/// Reads the full list again and again, until the process ends.
pub(crate) async fn follow(context: Arc<Context>) {
    let mut ticks = tokio::time::interval(context.settings.roster_interval.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = refresh(&context).await {
            context.upstream.configstore.failed(&error);
            ticks.reset_after(RETRY.min(context.settings.roster_interval));
        }
    }
}

async fn refresh(context: &Context) -> Result<(), ClientError> {
    let listed = context.configstore.producers().await?;
    let present: HashSet<ProducerName> = listed.iter().filter_map(complete).collect();
    let known: HashSet<ProducerName> = context.stores.producer_names().into_iter().collect();
    let suspects: HashSet<ProducerName> = known.difference(&present).cloned().collect();
    for producer in present.difference(&known).chain(&suspects) {
        context.dispatch.queue.nudge(Key::Producer(producer.clone()), Class::Resync);
    }
    for back in known.intersection(&present).filter(|name| context.suspects.contains(name)) {
        context.dispatch.queue.nudge(Key::Producer(back.clone()), Class::Resync);
    }
    context.suspects.replace(suspects);
    context.metrics.producers(present.len());
    context.upstream.configstore.caught_up();
    Ok(())
}

fn complete(entry: &ProducerEntry) -> Option<ProducerName> {
    if let Some(finding) = &entry.finding {
        tracing::debug!(finding, "a git user that is no producer");
        return None;
    }
    let name = entry
        .producer()
        .inspect_err(|error| tracing::debug!(%error, "a git user that is no producer"))
        .ok()?;
    has_repositories(&entry.repos).then_some(name)
}

/// Whether it has what a producer needs to be one.
fn has_repositories(repositories: &[Repository]) -> bool {
    let there = |wanted: &RepoName| repositories.iter().any(|repository| repository.name == wanted.as_str());
    RepoName::of_every_producer().iter().all(there)
}

/// Asks whether somebody whom no `LBProducer` stands for is a producer.
///
/// # Errors
/// Where the configstore does not answer for certain.
pub(crate) async fn is_producer(context: &Context, name: &ProducerName) -> Result<bool, ClientError> {
    let answer = context.configstore.producer(name).await;
    track(context, &answer);
    Ok(answer?.is_some_and(|producer| has_repositories(&producer.repos)))
}

/// What the roster says of a producer that an `LBProducer` stands for. Asks nobody where there is no suspicion.
pub(crate) async fn standing(context: &Context, name: &ProducerName, resource: &LBProducer) -> Standing {
    let since = resource.status.as_ref().and_then(|status| status.missing_since).map(Timestamp);
    if since.is_none() && !context.suspects.contains(name) {
        return Standing::Present;
    }
    match is_producer(context, name).await {
        Ok(true) => {
            context.suspects.remove(name);
            Standing::Present
        }
        Ok(false) => {
            let now = context.clock.now();
            let since = since.unwrap_or(now);
            if now.since(since) >= context.settings.producer_grace {
                Standing::Gone { since }
            } else {
                Standing::Missing { since }
            }
        }
        Err(error) => Standing::Unconfirmed(error.to_string()),
    }
}

fn track<T>(context: &Context, answer: &Result<T, ClientError>) {
    match answer {
        Ok(_) => context.upstream.configstore.answered(),
        Err(error) => context.upstream.configstore.failed(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_listed_with_a_finding_or_half_is_no_producer() {
        let repo = |name: &str| json!({"name": name, "owner": {"login": "customer-al"}});
        let entry = |repos: &[&str], finding: Option<&str>| -> ProducerEntry {
            let repos: Vec<_> = repos.iter().map(|name| repo(name)).collect();
            let entry = json!({"id": 1, "login": "customer-al", "name": "al", "namespace": "customer", "repos": repos, "finding": finding});
            serde_json::from_value(entry).unwrap()
        };
        let al: ProducerName = "al".parse().unwrap();
        assert_eq!(complete(&entry(&["dev", "functions", "more"], None)), Some(al));
        assert_eq!(complete(&entry(&["dev"], None)), None);
        assert_eq!(complete(&entry(&["dev", "functions"], Some("too long"))), None);
    }
}
