//! Records of the objects that we own.
//!
//! Objects are watched whole and label-selected ([`SELECTOR`]); each event is judged against what is desired,
//! reduced to a [`Record`] and dropped. An object that loses one of the labels leaves the watch as if it was
//! deleted, and is noticed so.

mod record;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lb_desired::build::LeafKind;
use lb_vocab::Digest;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

pub use self::record::{Labels, Live, Record, Rollout, State};
pub(crate) use self::record::{controller, managers};
use crate::cache::{Cache, Key};
use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::identity::Version;
use crate::watch::{self, Health, Told, Watched};

/// What is watched: whatever carries the three labels of every object of the contract (desired-state.md).
pub const SELECTOR: &str = "producer,environment,app";

/// How a live object compares with what is desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is exactly the desired object with this digest.
    Matches(Digest),
    /// It differs from the desired object.
    Drifted,
    /// Its owner does not want it.
    Unwanted,
    /// It has no owner and is meant to have none.
    Kept,
    /// Its owner is not known (yet), or is none of ours.
    Unknown,
}

/// Knows what is desired, and wants to hear what changed. Both calls are made from the watches: they must be quick
/// and must not wait.
pub trait Judge: Send + Sync + 'static {
    /// Compares a live object with what is desired. An un-owned object that is not `Kept` is recorded as
    /// [`State::Unowned`], whatever the verdict.
    fn judge(&self, live: &Live<'_>) -> Verdict;
    /// Something changed that was not our own write. Called after the record has changed.
    fn changed(&self, change: &Change);
}

/// An object that appeared, went, or whose owner, state or roll-out changed. Carries names alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The object's kind.
    pub kind: LeafKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its owner; where it has none (any more), its last one.
    pub owner: Option<crate::Uid>,
    /// Its `producer` label, where it still has one.
    pub producer: Option<String>,
    /// Its `environment` label, likewise.
    pub environment: Option<String>,
}

/// An object's kind, namespace, name and record.
pub type Entry = (LeafKind, Arc<str>, Arc<str>, Record);

/// The records of everything that is watched. Clones share them; when the last is dropped the watches end.
#[derive(Clone)]
pub struct Records {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

struct Shared {
    judge: Arc<dyn Judge>,
    watches: RwLock<HashMap<(LeafKind, Scope), Watch>>,
    synced: Notify,
}

struct Watch {
    cache: Cache<Record>,
    health: Health,
}

/// Ends the watches when the last [`Records`] is dropped.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    pub(crate) fn add(&self, task: AbortHandle) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in self.0.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Records {
    /// No records, and nothing watched.
    #[must_use]
    pub fn new(judge: Arc<dyn Judge>) -> Self {
        let shared = Shared { judge, watches: RwLock::default(), synced: Notify::new() };
        Self { shared: Arc::new(shared), tasks: Arc::default() }
    }

    /// Watches a kind in a scope, once however often it is called. Let the stores that the judge looks into be synced
    /// first: an object whose owner it does not know is [`State::Unknown`] until it changes or is applied to.
    ///
    /// Secrets are watched per namespace, so that a Role there is enough.
    pub fn watch(&self, cluster: &Cluster, kind: LeafKind, scope: &Scope) {
        let health = Health::default();
        {
            let mut watches = self.shared.watches.write().unwrap_or_else(PoisonError::into_inner);
            let at = (kind, scope.clone());
            if watches.contains_key(&at) {
                return;
            }
            watches.insert(at, Watch { cache: Cache::default(), health: health.clone() });
        }
        let watched =
            Watched { collection: Collection::of_leaf(kind, scope), labels: Some(SELECTOR), health };
        let (shared, cluster, scope) = (Arc::clone(&self.shared), cluster.clone(), scope.clone());
        let task = tokio::spawn(async move {
            watch::run(&cluster, &watched, |told| shared.told(kind, &scope, told)).await;
        });
        self.tasks.add(task.abort_handle());
    }

    /// Waits until every watch has read its whole list once.
    pub async fn synced(&self) {
        loop {
            let next = self.shared.synced.notified();
            if self.waiting().is_empty() {
                return;
            }
            next.await;
        }
    }

    /// The watches that have not read their list yet, or are broken, with the reason: what `/ready` names.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let watches = self.shared.watches.read().unwrap_or_else(PoisonError::into_inner);
        let mut waiting: Vec<String> = watches
            .iter()
            .filter(|(_, watch)| !watch.cache.is_synced())
            .map(|((kind, _), watch)| match watch.health.problem() {
                Some(problem) => format!("{}: {problem}", kind.plural()),
                None => format!("{}: reading the list", kind.plural()),
            })
            .collect();
        waiting.sort();
        waiting
    }

    /// The record of an object.
    #[must_use]
    pub fn get(&self, kind: LeafKind, namespace: &str, name: &str) -> Option<Record> {
        let key = Key::new(namespace, name);
        self.shared.with(kind, namespace, |watch| watch.cache.get(&key).copied()).flatten()
    }

    /// Everything that an owner controls, by kind and name.
    #[must_use]
    pub fn owned_by(&self, owner: crate::Uid) -> Vec<Entry> {
        self.collect(|cache| cache.owned_by(owner).map(|(key, record)| (key.clone(), *record)).collect())
    }

    /// How many objects an owner controls.
    #[must_use]
    pub fn count(&self, owner: crate::Uid) -> usize {
        let watches = self.shared.watches.read().unwrap_or_else(PoisonError::into_inner);
        watches.values().map(|watch| watch.cache.count(owner)).sum()
    }

    /// Objects that carry our labels and have no owner, but those that are meant to have none.
    #[must_use]
    pub fn unowned(&self) -> Vec<Entry> {
        self.collect(|cache| {
            let unowned = cache.iter().filter(|(_, record)| record.state == State::Unowned);
            unowned.map(|(key, record)| (key.clone(), *record)).collect()
        })
    }

    /// How many objects are known.
    #[must_use]
    pub fn len(&self) -> usize {
        let watches = self.shared.watches.read().unwrap_or_else(PoisonError::into_inner);
        watches.values().map(|watch| watch.cache.len()).sum()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The answer to a request of ours: it enters at once, without a [`Change`].
    pub(crate) fn enter(&self, kind: LeafKind, object: &Value, state: State) {
        let Some(live) = Live::read(kind, object) else { return };
        let Some(record) = live.record(state) else { return };
        let key = Key::new(live.namespace, live.name);
        self.shared.with_mut(kind, live.namespace, |watch| watch.cache.enter(&key, record));
    }

    /// A read of ours found nothing where this version was known.
    pub(crate) fn missed(&self, kind: LeafKind, namespace: &str, name: &str, version: Version) {
        let key = Key::new(namespace, name);
        self.shared.with_mut(kind, namespace, |watch| watch.cache.missed(&key, version));
    }

    /// A deletion of ours was accepted: until its event comes the object is on its way out.
    pub(crate) fn leaving(&self, kind: LeafKind, namespace: &str, name: &str, version: Version) {
        let key = Key::new(namespace, name);
        self.shared.with_mut(kind, namespace, |watch| {
            watch.cache.amend(&key, version, |record| record.deleting = true);
        });
    }

    fn collect(&self, pick: impl Fn(&Cache<Record>) -> Vec<(Key, Record)>) -> Vec<Entry> {
        let watches = self.shared.watches.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries: Vec<Entry> = watches
            .iter()
            .flat_map(|((kind, _), watch)| {
                pick(&watch.cache).into_iter().map(|(key, record)| (*kind, key, record))
            })
            .map(|(kind, key, record)| (kind, key.namespace, key.name, record))
            .collect();
        entries.sort_by(|a, b| (a.0, &a.1, &a.2).cmp(&(b.0, &b.1, &b.2)));
        entries
    }
}

impl Shared {
    /// The watch that an object of this kind and namespace belongs to.
    fn with<T>(&self, kind: LeafKind, namespace: &str, read: impl FnOnce(&Watch) -> T) -> Option<T> {
        let watches = self.watches.read().unwrap_or_else(PoisonError::into_inner);
        let watch = watches
            .get(&(kind, Scope::Namespace(namespace.to_owned())))
            .or_else(|| watches.get(&(kind, Scope::Everywhere)))?;
        Some(read(watch))
    }

    fn with_mut<T>(&self, kind: LeafKind, namespace: &str, write: impl FnOnce(&mut Watch) -> T) -> Option<T> {
        let mut watches = self.watches.write().unwrap_or_else(PoisonError::into_inner);
        let own = (kind, Scope::Namespace(namespace.to_owned()));
        let at = if watches.contains_key(&own) { own } else { (kind, Scope::Everywhere) };
        watches.get_mut(&at).map(write)
    }

    fn in_watch<T>(&self, kind: LeafKind, scope: &Scope, write: impl FnOnce(&mut Watch) -> T) -> Option<T> {
        let mut watches = self.watches.write().unwrap_or_else(PoisonError::into_inner);
        watches.get_mut(&(kind, scope.clone())).map(write)
    }

    fn told(&self, kind: LeafKind, scope: &Scope, told: Told) {
        match told {
            Told::Restarted => {
                self.in_watch(kind, scope, |watch| watch.cache.restarted());
            }
            Told::Passed(version) => {
                self.in_watch(kind, scope, |watch| watch.cache.passed(version));
            }
            Told::Synced(version) => {
                let gone = self.in_watch(kind, scope, |watch| watch.cache.synced(version));
                for (key, record) in gone.unwrap_or_default() {
                    self.judge.changed(&change(kind, key, record.owner, Labels::default()));
                }
                self.synced.notify_waiters();
            }
            Told::Applied(object) => self.applied(kind, scope, &object),
            Told::Gone(object) => self.gone(kind, scope, &object),
        }
    }

    fn applied(&self, kind: LeafKind, scope: &Scope, object: &Value) {
        let Some(live) = Live::read(kind, object) else { return };
        // Judged outside the lock: the judge looks into other stores.
        let Some(record) = live.record(state(&live, self.judge.judge(&live))) else { return };
        let key = Key::new(live.namespace, live.name);
        let seen = self.in_watch(kind, scope, |watch| {
            let first = !watch.cache.is_synced();
            watch.cache.seen(&key, record).map(|before| (before, first))
        });
        let Some((before, first)) = seen.flatten() else { return };
        let news = match before {
            Some(before) => essence(&before) != essence(&record),
            // The first list is no news where everything is well.
            None => !first || !matches!(record.state, State::Matches(_) | State::Kept),
        };
        if news {
            let owner = record.owner.or(before.and_then(|before| before.owner));
            self.judge.changed(&change(kind, key, owner, live.labels));
        }
    }

    fn gone(&self, kind: LeafKind, scope: &Scope, object: &Value) {
        let Some(live) = Live::read(kind, object) else { return };
        // Its state does not matter any more; the version says when it went.
        let Some(record) = live.record(State::Unknown) else { return };
        let key = Key::new(live.namespace, live.name);
        let before = self.in_watch(kind, scope, |watch| watch.cache.gone(&key, record.version)).flatten();
        if let Some(before) = before {
            self.judge.changed(&change(kind, key, before.owner, live.labels));
        }
    }
}

fn state(live: &Live<'_>, verdict: Verdict) -> State {
    match (live.owner, verdict) {
        (_, Verdict::Kept) => State::Kept,
        (None, _) => State::Unowned,
        (Some(_), Verdict::Matches(digest)) => State::matching(&digest),
        (Some(_), Verdict::Drifted) => State::Drifted,
        (Some(_), Verdict::Unwanted) => State::Unwanted,
        (Some(_), Verdict::Unknown) => State::Unknown,
    }
}

/// What a change is about; a new version alone is none.
fn essence(record: &Record) -> (Option<crate::Uid>, State, Rollout, bool) {
    (record.owner, record.state, record.rollout, record.deleting)
}

fn change(kind: LeafKind, key: Key, owner: Option<crate::Uid>, labels: Labels<'_>) -> Change {
    Change {
        kind,
        namespace: key.namespace,
        name: key.name,
        owner,
        producer: labels.producer.map(ToOwned::to_owned),
        environment: labels.environment.map(ToOwned::to_owned),
    }
}
