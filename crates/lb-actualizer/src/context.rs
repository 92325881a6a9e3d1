//! What every stage shares.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lb_cluster::{Applied, ApplyError, Cluster, Events, Owner, Records, State, Uid};
use lb_desired::build::{Leaf, LeafKind};
use lb_desired::crd::EnvironmentStatus;
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::GitApi;
use lb_vocab::{Clock, Digest, Producer, ProducerName, Revision};

use crate::child::{Child, ChildKey};
use crate::heads::Heads;
use crate::jobs::Jobs;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::producer::{Children, Noted, Outcome, Telling};
use crate::requests::Requests;
use crate::roster::Suspects;
use crate::settings::Settings;
use crate::stores::{Dispatch, Stores};
use crate::upstream::Upstream;

/// What can be worked on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A producer: from git to children.
    Producer(ProducerName),
    /// A child: from its spec to objects.
    Child(ChildKey),
    /// Objects whose owner is gone.
    Orphans(Uid),
}

/// When a key that was worked on wants to be worked on again, news apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Next {
    /// After some time.
    After(Duration),
    /// Sooner or later, less and less often.
    Retry,
    /// Not before there is news.
    Settled,
}

impl Next {
    /// The sooner of the two.
    pub(crate) fn sooner(self, other: Self) -> Self {
        self.min(other)
    }
}

/// What every stage shares.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    /// Of everything in the settings that plan and build depend on.
    pub(crate) settings_digest: Digest,
    pub(crate) clock: Clock,
    pub(crate) git: GitApi,
    pub(crate) configstore: Configstore,
    pub(crate) cluster: Cluster,
    pub(crate) records: Records,
    pub(crate) stores: Stores,
    pub(crate) dispatch: Arc<Dispatch>,
    pub(crate) heads: Heads,
    pub(crate) suspects: Suspects,
    pub(crate) requests: Requests,
    pub(crate) upstream: Upstream,
    pub(crate) jobs: Jobs,
    pub(crate) events: Events,
    pub(crate) metrics: Metrics,
    /// The brake's state is read, changed and written by one at a time.
    pub(crate) brake_lock: tokio::sync::Mutex<()>,
    pub(crate) braked: Mutex<HashSet<String>>,
    pub(crate) memory: Mutex<HashMap<Producer, Outcome>>,
    /// See [`crate::namespace`].
    pub(crate) opened: Mutex<HashSet<String>>,
    pub(crate) pace: Pace,
    pub(crate) noted: Noted,
    pub(crate) telling: Telling,
}

impl Context {
    /// Environments whose removals the brake holds.
    pub(crate) fn braked(&self) -> MutexGuard<'_, HashSet<String>> {
        self.braked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a run came to.
    pub(crate) fn remember(&self, who: &Producer, outcome: &Outcome) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(who.clone(), outcome.clone());
    }

    /// What the last run came to; after a start, what the status says of it.
    pub(crate) fn remembered(&self, who: &Producer, status: Option<&EnvironmentStatus>) -> Option<Outcome> {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.get(who).cloned().or_else(|| status.and_then(Outcome::noted))
    }

    /// Forgets a run: its environment was purged.
    pub(crate) fn forget(&self, who: &Producer) {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).remove(who);
    }

    /// The newest revision that git-api told of, once it has told everything.
    pub(crate) fn heads_of(&self, who: &Producer) -> Option<Revision> {
        self.upstream.git_api.is_caught_up().then(|| self.heads.revision(who.name(), who.environment()))
    }

    /// Makes an object stand. `requested`: somebody waits for it, who wants to know what stands and not what
    /// the watch has told.
    pub(crate) async fn apply(
        &self,
        owner: &Owner,
        leaf: &Leaf,
        requested: bool,
    ) -> Result<Applied, ApplyError> {
        if requested {
            self.cluster.look(&self.records, owner, leaf).await?;
        }
        self.cluster.apply(&self.records, owner, leaf).await
    }

    /// The namespaces of producers' own that are open.
    pub(crate) fn opened(&self) -> MutexGuard<'_, HashSet<String>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the configuration of each of these gateways stands.
    pub(crate) fn configs_stand(&self, children: &Children) -> bool {
        children.gateways.iter().all(|gateway| {
            let namespace = gateway.metadata.namespace.as_deref().unwrap_or_default();
            let record = self.records.get(LeafKind::Secret, namespace, &gateway.spec.config.name);
            record.is_some_and(|record| matches!(record.state, State::Matches(_)))
        })
    }

    /// Whether a child must not be touched: its producer is suspended, or is not known (any more), or it is on its way
    /// out.
    pub(crate) fn is_untouchable(&self, child: &Child) -> bool {
        let Some(producer) = child.producer().and_then(|name| self.stores.producer(&name)) else {
            return true;
        };
        producer.spec.suspend || producer.metadata.deletion_timestamp.is_some() || child.is_leaving()
    }

    /// Whether a child has a host that it claims. Nobody has a host that nobody claims.
    pub(crate) fn owns_host(&self, key: &ChildKey, host: &str) -> bool {
        self.dispatch.hosts().owner(host).is_none_or(|owner| owner == key)
    }

    /// Who has a host, in words.
    pub(crate) fn host_owner(&self, host: &str) -> Option<String> {
        self.dispatch.hosts().owner(host).map(ToString::to_string)
    }
}
