//! Our own resources: producers and their children. They are held as text, because they are many and are seldom looked
//! at: of the values that they are read into a third would be allocated and empty.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kube::Resource;
use kube::core::object::{HasSpec, HasStatus};
use lb_desired::crd::{FIELD_MANAGER, LBFunction, LBGateway, LBProducer, LBWorkspace};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Notify;

use crate::cache::{Cache, Entry, Key};
use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::{Uid, Version};
use crate::records::{Tasks, controller, managers};
use crate::watch::{self, Health, Told, Watched};

/// A custom resource of ours, as kube derives it.
pub trait Custom:
    Resource<DynamicType = ()>
    + HasSpec<Spec: PartialEq + Serialize + Send + Sync>
    + HasStatus<Status: PartialEq + Serialize + Send + Sync>
    + Clone
    + fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl Custom for LBProducer {}
impl Custom for LBWorkspace {}
impl Custom for LBGateway {}
impl Custom for LBFunction {}

/// A resource that a producer's plan writes.
pub trait Child: Custom {
    /// The environment that it is part of.
    fn environment(&self) -> &str;
}

impl Child for LBWorkspace {
    fn environment(&self) -> &str {
        &self.spec.environment
    }
}
impl Child for LBGateway {
    fn environment(&self) -> &str {
        &self.spec.environment
    }
}
impl Child for LBFunction {
    fn environment(&self) -> &str {
        &self.spec.environment
    }
}

/// What changed in a [`Store`]. Our own writes are told too: who writes a child's spec is not who acts on it.
#[derive(Clone, Debug)]
pub enum StoreChange<K> {
    /// It is as it is now.
    Applied {
        /// As it was.
        old: Option<Arc<K>>,
        /// As it is.
        new: Arc<K>,
    },
    /// It is gone.
    Removed(Arc<K>),
}

impl<K: Custom> StoreChange<K> {
    /// The object, as it is or last was.
    #[must_use]
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Applied { new, .. } => new,
            Self::Removed(last) => last,
        }
    }

    /// Whether more than the status changed.
    #[must_use]
    pub fn matters(&self) -> bool {
        let Self::Applied { old: Some(old), new } = self else { return true };
        let head = |object: &K| {
            let meta = object.meta();
            (
                meta.labels.clone(),
                meta.annotations.clone(),
                meta.owner_references.clone(),
                meta.deletion_timestamp.is_some(),
            )
        };
        old.spec() != new.spec() || head(old) != head(new)
    }
}

/// A held object with what its [`Store`] looks at.
#[derive(Debug)]
pub(crate) struct Held<K> {
    /// It in JSON, without the field managers.
    text: Arc<[u8]>,
    kind: PhantomData<fn() -> K>,
    pub(crate) uid: Uid,
    pub(crate) version: Version,
    pub(crate) owner: Option<Uid>,
    /// Our field manager applied it once.
    pub(crate) ours: bool,
}

impl<K> Clone for Held<K> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), ..*self }
    }
}

impl<K: Custom> Held<K> {
    /// An object as the API server sent it, and what is held of it.
    fn read(mut value: Value) -> Option<(Arc<K>, Self)> {
        let ours =
            managers(&value).any(|(manager, operation)| manager == FIELD_MANAGER && operation == "Apply");
        let metadata = value.get_mut("metadata")?.as_object_mut()?;
        metadata.remove("managedFields");
        let owner = controller(value.get("metadata")?).and_then(|owner| owner.get("uid")?.as_str());
        let owner = owner.map(Uid::parse);
        let read = serde_json::from_value::<K>(value)
            .and_then(|object| serde_json::to_vec(&object).map(|text| (object, text)));
        match read {
            Ok((object, text)) => {
                let (uid, version) = (Uid::of(&object)?, Version::of(&object)?);
                let held = Self { text: text.into(), kind: PhantomData, uid, version, owner, ours };
                Some((Arc::new(object), held))
            }
            Err(error) => {
                // The API server validates against the schema; another version of it may stand there.
                tracing::error!(kind = %K::kind(&()), %error, "an object does not fit its schema and is not seen");
                None
            }
        }
    }

    /// The object. There always is one: the text was made of it.
    pub(crate) fn object(&self) -> Option<Arc<K>> {
        serde_json::from_slice(&self.text).ok().map(Arc::new)
    }
}

fn key<K: Custom>(object: &K) -> Key {
    let meta = object.meta();
    Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl<K: Custom> Entry for Held<K> {
    const BY_UID: bool = true;

    fn uid(&self) -> Uid {
        self.uid
    }
    fn version(&self) -> Version {
        self.version
    }
    fn owner(&self) -> Option<Uid> {
        self.owner
    }
}

type OnChange<K> = Box<dyn Fn(&StoreChange<K>) + Send + Sync>;

/// All objects of one kind, followed by a watch. Clones share it; when the last is dropped the watch ends.
pub struct Store<K> {
    shared: Arc<Shared<K>>,
    tasks: Arc<Tasks>,
}

struct Shared<K> {
    cache: RwLock<Cache<Held<K>>>,
    on_change: OnChange<K>,
    // Changes are told in the order in which they happened, also where a write of ours meets an event.
    telling: Mutex<()>,
    health: Health,
    synced: Notify,
}

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), tasks: Arc::clone(&self.tasks) }
    }
}

impl<K: Custom> Store<K> {
    /// Starts to follow a kind. `on_change` is called from the watch and from writers; it must be quick and must not
    /// write.
    pub fn watch(
        cluster: &Cluster,
        scope: &Scope,
        on_change: impl Fn(&StoreChange<K>) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            cache: RwLock::default(),
            on_change: Box::new(on_change),
            telling: Mutex::default(),
            health: Health::default(),
            synced: Notify::new(),
        });
        let watched =
            Watched { collection: Collection::of::<K>(scope), labels: None, health: shared.health.clone() };
        let tasks = Arc::<Tasks>::default();
        let (follow, cluster) = (Arc::clone(&shared), cluster.clone());
        let task =
            tokio::spawn(async move { watch::run(&cluster, &watched, |told| follow.told(told)).await });
        tasks.add(task.abort_handle());
        Self { shared, tasks }
    }

    /// Waits until the whole list was read once.
    pub async fn synced(&self) {
        loop {
            let next = self.shared.synced.notified();
            if self.waiting().is_none() {
                return;
            }
            next.await;
        }
    }

    /// What is being waited for, if anything: what `/ready` names.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        if self.read(Cache::is_synced) {
            return None;
        }
        let problem = self.shared.health.problem().unwrap_or_else(|| "reading the list".to_owned());
        Some(format!("{}: {problem}", K::plural(&())))
    }

    /// One object. `namespace` is empty for cluster-scoped kinds.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.held(namespace, name)?.object()
    }

    /// The object with this uid.
    #[must_use]
    pub fn by_uid(&self, uid: Uid) -> Option<Arc<K>> {
        self.read(|cache| cache.by_uid(uid).cloned())?.object()
    }

    /// Everything that an owner controls, by namespace and name.
    #[must_use]
    pub fn owned_by(&self, owner: Uid) -> Vec<Arc<K>> {
        let held: Vec<_> = self.read(|cache| cache.owned_by(owner).map(|(_, held)| held.clone()).collect());
        held.iter().filter_map(Held::object).collect()
    }

    /// The name of every object, by namespace and name.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        self.read(|cache| cache.iter().map(|(key, _)| Arc::clone(&key.name)).collect())
    }

    /// Names in a namespace that begin with `prefix` and are those of objects that somebody else than `owner`
    /// controls.
    #[must_use]
    pub fn names_of_others(&self, namespace: &str, prefix: &str, owner: Option<Uid>) -> BTreeSet<String> {
        self.read(|cache| {
            let all = cache.beginning_with(namespace, prefix);
            let others = all.filter(|(_, held)| held.owner.is_some() && held.owner != owner);
            others.map(|(key, _)| key.name.to_string()).collect()
        })
    }

    pub(crate) fn held(&self, namespace: &str, name: &str) -> Option<Held<K>> {
        let key = Key::new(namespace, name);
        self.read(|cache| cache.get(&key).cloned())
    }

    /// The answer to a write of ours: it enters at once. Answers what it says.
    pub(crate) fn enter(&self, attempt: &str, object: Value) -> Result<Arc<K>, ApiError> {
        let (new, held) = Held::<K>::read(object).ok_or_else(|| ApiError::Malformed {
            attempt: attempt.to_owned(),
            what: format!("it is no {}", K::kind(&())),
        })?;
        let _telling = self.shared.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, fresh) = {
            let key = key(new.as_ref());
            let mut cache = self.shared.cache.write().unwrap_or_else(PoisonError::into_inner);
            let old = cache.get(&key).cloned();
            let version = held.version;
            let fresh = cache.enter(&key, held) && old.as_ref().is_none_or(|old| old.version != version);
            (old, fresh)
        };
        if fresh {
            let old = old.and_then(|old| old.object());
            (self.shared.on_change)(&StoreChange::Applied { old, new: Arc::clone(&new) });
        }
        Ok(new)
    }

    fn read<T>(&self, read: impl FnOnce(&Cache<Held<K>>) -> T) -> T {
        read(&self.shared.cache.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Custom> Shared<K> {
    fn told(&self, told: Told) {
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        match told {
            Told::Restarted => self.write(Cache::restarted),
            Told::Passed(version) => self.write(|cache| cache.passed(version)),
            Told::Synced(version) => {
                for last in
                    self.write(|cache| cache.synced(version)).iter().filter_map(|(_, held)| held.object())
                {
                    (self.on_change)(&StoreChange::Removed(last));
                }
                self.synced.notify_waiters();
            }
            Told::Applied(object) => {
                let Some((new, held)) = Held::<K>::read(object) else { return };
                let key = key(new.as_ref());
                if let Some(old) = self.write(|cache| cache.seen(&key, held)) {
                    let old = old.and_then(|old| old.object());
                    (self.on_change)(&StoreChange::Applied { old, new });
                }
            }
            Told::Gone(object) => {
                let Some((object, held)) = Held::<K>::read(object) else { return };
                let last = self.write(|cache| cache.gone(&key(object.as_ref()), held.version));
                if let Some(last) = last.and_then(|last| last.object()) {
                    (self.on_change)(&StoreChange::Removed(last));
                }
            }
        }
    }

    fn write<T>(&self, write: impl FnOnce(&mut Cache<Held<K>>) -> T) -> T {
        write(&mut self.cache.write().unwrap_or_else(PoisonError::into_inner))
    }
}
