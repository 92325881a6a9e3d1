//! Objects of one kind, each reduced to what somebody wants to know of it when its event arrives, held by the group that it
//! belongs to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Resource;
use serde_json::Value;
use tokio::sync::Notify;

use crate::cache::{Cache, Entry, Key};
use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::identity::{Uid, Version};
use crate::records::Tasks;
use crate::watch::{self, Health, Told, Watched};

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouped<T> {
    /// What it belongs to.
    pub group: String,
    /// What is known of it.
    pub value: T,
}

/// What is kept of an object; `None`: it is of no interest.
pub type Reduce<T> = dyn Fn(&Value) -> Option<Grouped<T>> + Send + Sync;

/// What is to be watched, and how it is read.
pub struct Selection<T> {
    /// Where.
    pub scope: Scope,
    /// The label selector.
    pub labels: &'static str,
    /// Called from the watch: it must be quick.
    pub reduce: Box<Reduce<T>>,
    /// Told the name of a group whose objects changed, after they did. Called from the watch, likewise.
    pub changed: Box<dyn Fn(&str) + Send + Sync>,
}

/// The objects of one watch. Clones share them; when the last is dropped the watch ends.
///
/// Guarantees: one watch, however many look; while it is broken, or begins anew, what was known stays known, and what went
/// meanwhile goes when the new list is complete. An object that is another version and reduced the same is no change.
#[derive(Clone)]
pub struct Groups<T> {
    shared: Arc<Shared<T>>,
    kind: String,
    health: Health,
    _tasks: Arc<Tasks>,
}

struct Shared<T> {
    cache: Mutex<Cache<Held<T>>>,
    synced: Notify,
}

#[derive(Clone, Debug)]
struct Held<T> {
    uid: Uid,
    version: Version,
    group: Arc<str>,
    value: T,
}

impl<T: Clone> Entry for Held<T> {
    const BY_UID: bool = false;

    fn uid(&self) -> Uid {
        self.uid
    }
    fn version(&self) -> Version {
        self.version
    }
    fn owner(&self) -> Option<Uid> {
        Some(index(&self.group))
    }
}

/// A group's place in the index of a cache.
fn index(group: &str) -> Uid {
    Uid::parse(group)
}

impl<T: Clone + PartialEq + Send + 'static> Groups<T> {
    /// Watches the kind `K`.
    #[must_use]
    pub fn watch<K: Resource<DynamicType = ()>>(cluster: &Cluster, selection: Selection<T>) -> Self {
        let Selection { scope, labels, reduce, changed } = selection;
        let (collection, health) = (Collection::of::<K>(&scope), Health::default());
        let kind = collection.kind.clone();
        let watched = Watched { collection, labels: Some(labels), health: health.clone() };
        let shared = Arc::new(Shared { cache: Mutex::default(), synced: Notify::new() });
        let (cluster, inner) = (cluster.clone(), Arc::clone(&shared));
        let task = tokio::spawn(async move {
            watch::run(&cluster, &watched, |told| inner.told(told, &*reduce, &*changed)).await;
        });
        let tasks = Tasks::default();
        tasks.add(task.abort_handle());
        Self { shared, kind, health, _tasks: Arc::new(tasks) }
    }

    /// What is known of a group, by the objects' names, in their order.
    #[must_use]
    pub fn of(&self, group: &str) -> Vec<(Arc<str>, T)> {
        let cache = self.shared.lock();
        let own = cache.owned_by(index(group)).filter(|(_, held)| &*held.group == group);
        own.map(|(key, held)| (Arc::clone(&key.name), held.value.clone())).collect()
    }

    /// Waits until the whole list was read once.
    pub async fn synced(&self) {
        loop {
            let next = self.shared.synced.notified();
            if self.shared.lock().is_synced() {
                return;
            }
            next.await;
        }
    }

    /// Why the list is not there yet, for `/ready`.
    #[must_use]
    pub fn waiting(&self) -> Option<String> {
        if self.shared.lock().is_synced() {
            return None;
        }
        let problem = self.health.problem().unwrap_or_else(|| "reading the list".to_owned());
        Some(format!("{}: {problem}", self.kind))
    }
}

impl<T: Clone + PartialEq> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Cache<Held<T>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self, told: Told, reduce: &Reduce<T>, changed: &dyn Fn(&str)) {
        match told {
            Told::Restarted => self.lock().restarted(),
            Told::Passed(version) => self.lock().passed(version),
            Told::Synced(version) => {
                let gone = self.lock().synced(version);
                self.synced.notify_waiters();
                for (_, held) in gone {
                    changed(&held.group);
                }
            }
            Told::Applied(object) => {
                let Some((key, uid, version)) = head(&object) else { return };
                let Some(Grouped { group, value }) = reduce(&object) else {
                    return self.gone(&key, version, changed);
                };
                let held = Held { uid, version, group: group.into(), value };
                let now = held.clone();
                let Some(before) = self.lock().seen(&key, held) else { return };
                match before {
                    Some(before) if before.group == now.group && before.value == now.value => return,
                    Some(before) if before.group != now.group => changed(&before.group),
                    Some(_) | None => {}
                }
                changed(&now.group);
            }
            Told::Gone(object) => {
                if let Some((key, _, version)) = head(&object) {
                    self.gone(&key, version, changed);
                }
            }
        }
    }

    fn gone(&self, key: &Key, version: Version, changed: &dyn Fn(&str)) {
        let before = self.lock().gone(key, version);
        if let Some(before) = before {
            changed(&before.group);
        }
    }
}

/// Key, uid and version of an object; `None` where it is none.
fn head(object: &Value) -> Option<(Key, Uid, Version)> {
    let metadata = object.get("metadata")?;
    let text = |name: &str| metadata.get(name)?.as_str();
    let key = Key::new(text("namespace").unwrap_or_default(), text("name")?);
    Some((key, Uid::parse(text("uid")?), Version::parse(text("resourceVersion")?)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Objects are in the group of their label, and are what their `data` says.
    fn reduce(object: &Value) -> Option<Grouped<String>> {
        let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
        Some(Grouped { group: text("/metadata/labels/group")?, value: text("/data")? })
    }

    fn object(name: &str, version: u64, group: &str, data: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": version.to_string(),
            "labels": {"group": group}}, "data": data})
    }

    #[test]
    fn what_is_the_same_is_no_change_and_a_new_list_removes_what_went() {
        let shared = Shared { cache: Mutex::default(), synced: Notify::new() };
        let told = |events: Vec<Told>| {
            let changes = Mutex::new(Vec::new());
            for event in events {
                shared.told(event, &reduce, &|group| changes.lock().unwrap().push(group.to_owned()));
            }
            changes.into_inner().unwrap()
        };
        let first = vec![
            Told::Restarted,
            Told::Applied(object("a", 1, "x", "1")),
            Told::Applied(object("b", 2, "y", "1")),
            Told::Synced(Version(5)),
        ];
        assert_eq!(told(first), ["x", "y"]);
        assert!(told(vec![Told::Applied(object("a", 6, "x", "1"))]).is_empty(), "another version alone");
        assert_eq!(told(vec![Told::Applied(object("a", 7, "x", "2"))]), ["x"]);
        assert_eq!(told(vec![Told::Applied(object("a", 8, "z", "2"))]), ["x", "z"], "it moved");
        assert!(told(vec![Told::Restarted]).is_empty(), "a list that begins removes nothing");
        let again = vec![Told::Applied(object("a", 8, "z", "2")), Told::Synced(Version(9))];
        assert_eq!(told(again), ["y"], "b is in the new list no more");
        assert_eq!(told(vec![Told::Gone(object("a", 10, "z", "2"))]), ["z"]);
        let unlabelled = json!({"metadata": {"name": "c", "uid": "c", "resourceVersion": "11"}, "data": "1"});
        assert!(told(vec![Told::Applied(unlabelled), Told::Applied(json!(null))]).is_empty());
    }
}
