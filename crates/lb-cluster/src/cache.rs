//! What is known of the objects of one watch: events and our own writes come in any order, and the newest wins.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::identity::{Uid, Version};

/// Namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

/// Something that a cache holds.
pub(crate) trait Entry: Clone {
    /// Whether entries are looked up by uid; the index costs 60 bytes each.
    const BY_UID: bool;
    fn uid(&self) -> Uid;
    fn version(&self) -> Version;
    /// The controller owner.
    fn owner(&self) -> Option<Uid>;
}

/// The entries of one watch.
///
/// Guarantees: an older version never replaces a newer one, whichever way it comes; an own write whose object was
/// removed meanwhile does not come back; after a new list nothing is left that is not in it.
/// Assumes: versions of one kind are comparable, and a watch delivers them in order.
#[derive(Debug)]
pub(crate) struct Cache<V> {
    entries: BTreeMap<Key, V>,
    /// By owner. One set for all: most owners have one or two entries in a watch.
    owned: BTreeSet<(Uid, Key)>,
    uids: HashMap<Uid, Key>,
    namespaces: HashSet<Arc<str>>,
    /// The watch has told everything up to this version.
    passed: Version,
    /// Seen since the list began; `None` while none is under way.
    listing: Option<HashSet<Key>>,
    synced: bool,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            owned: BTreeSet::new(),
            uids: HashMap::new(),
            namespaces: HashSet::new(),
            passed: Version::default(),
            listing: None,
            synced: false,
        }
    }
}

impl<V: Entry> Cache<V> {
    pub(crate) fn get(&self, key: &Key) -> Option<&V> {
        self.entries.get(key)
    }

    pub(crate) fn by_uid(&self, uid: Uid) -> Option<&V> {
        self.entries.get(self.uids.get(&uid)?)
    }

    pub(crate) fn owned_by(&self, owner: Uid) -> impl Iterator<Item = (&Key, &V)> {
        self.keys(owner).filter_map(|key| self.entries.get(key).map(|entry| (key, entry)))
    }

    pub(crate) fn count(&self, owner: Uid) -> usize {
        self.keys(owner).count()
    }

    fn keys(&self, owner: Uid) -> impl Iterator<Item = &Key> {
        let all = self.owned.range((owner, Key::new("", ""))..);
        all.take_while(move |(uid, _)| *uid == owner).map(|(_, key)| key)
    }

    /// Every entry, by namespace and name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        self.entries.iter()
    }

    /// The entries of a namespace whose names begin with `prefix`.
    pub(crate) fn beginning_with(&self, namespace: &str, prefix: &str) -> impl Iterator<Item = (&Key, &V)> {
        let first = Key::new(namespace, prefix);
        let begins = {
            let first = first.clone();
            move |key: &Key| key.namespace == first.namespace && key.name.starts_with(&*first.name)
        };
        self.entries.range(first..).take_while(move |(key, _)| begins(key))
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a whole list was read once.
    pub(crate) fn is_synced(&self) -> bool {
        self.synced
    }

    /// A list begins.
    pub(crate) fn restarted(&mut self) {
        self.listing = Some(HashSet::new());
    }

    /// An object of the watch. `None`: something newer is known. Otherwise what was known before.
    pub(crate) fn seen(&mut self, key: &Key, value: V) -> Option<Option<V>> {
        let version = value.version();
        let key = self.interned(key);
        match &mut self.listing {
            // The objects of a list come in no order; what they prove is said at its end.
            Some(listed) => {
                listed.insert(key.clone());
            }
            None => self.passed = self.passed.max(version),
        }
        if self.entries.get(&key).is_some_and(|known| known.version() >= version) {
            return None;
        }
        Some(self.put(key, value))
    }

    /// The watch says that an object is gone, or does not match the selector any more. What was known, where that
    /// is not newer.
    pub(crate) fn gone(&mut self, key: &Key, version: Version) -> Option<V> {
        self.passed = self.passed.max(version);
        if self.entries.get(key)?.version() > version {
            return None;
        }
        self.take(key)
    }

    /// The list is complete at this version: what is not in it, and not newer, is gone.
    pub(crate) fn synced(&mut self, version: Version) -> Vec<(Key, V)> {
        let listed = self.listing.take().unwrap_or_default();
        self.passed = self.passed.max(version);
        self.synced = true;
        let gone: Vec<Key> = self
            .entries
            .iter()
            .filter(|(key, entry)| entry.version() <= version && !listed.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        gone.into_iter().filter_map(|key| self.take(&key).map(|entry| (key, entry))).collect()
    }

    /// The watch told that nothing happened up to this version.
    pub(crate) fn passed(&mut self, version: Version) {
        self.passed = self.passed.max(version);
    }

    /// The answer to a write of ours. Where the watch has told more already it changes nothing, but for the same
    /// version: who wrote it knows best how it is to be judged.
    pub(crate) fn enter(&mut self, key: &Key, value: V) -> bool {
        let version = value.version();
        let known = self.entries.get(key).map(Entry::version);
        let fresh = match known {
            Some(known) => version >= known && (version > self.passed || version == known),
            None => version > self.passed,
        };
        if fresh {
            let key = self.interned(key);
            self.put(key, value);
        }
        fresh
    }

    /// A read of ours did not find it: what was known is gone, where it is this version.
    pub(crate) fn missed(&mut self, key: &Key, version: Version) {
        if self.entries.get(key).is_some_and(|entry| entry.version() == version) {
            self.take(key);
        }
    }

    /// Changes an entry in place, where it is this version.
    pub(crate) fn amend(&mut self, key: &Key, version: Version, change: impl FnOnce(&mut V)) {
        if let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.version() == version) {
            change(entry);
        }
    }

    fn put(&mut self, key: Key, value: V) -> Option<V> {
        let before = self.take(&key);
        if let Some(owner) = value.owner() {
            self.owned.insert((owner, key.clone()));
        }
        if V::BY_UID {
            self.uids.insert(value.uid(), key.clone());
        }
        self.entries.insert(key, value);
        before
    }

    fn take(&mut self, key: &Key) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.uids.remove(&entry.uid());
        if let Some(owner) = entry.owner() {
            self.owned.remove(&(owner, key.clone()));
        }
        Some(entry)
    }

    /// The key with the namespace's one copy.
    fn interned(&mut self, key: &Key) -> Key {
        let namespace = match self.namespaces.get(&key.namespace) {
            Some(known) => Arc::clone(known),
            None => {
                self.namespaces.insert(Arc::clone(&key.namespace));
                Arc::clone(&key.namespace)
            }
        };
        Key { namespace, name: Arc::clone(&key.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Thing(u64, Option<u8>);

    impl Entry for Thing {
        const BY_UID: bool = false;
        fn uid(&self) -> Uid {
            Uid::parse("thing")
        }
        fn version(&self) -> Version {
            Version(self.0)
        }
        fn owner(&self) -> Option<Uid> {
            self.1.map(|owner| Uid::parse(&owner.to_string()))
        }
    }

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    fn watched(objects: &[(&str, u64)], list: u64) -> Cache<Thing> {
        let mut cache = Cache::default();
        cache.restarted();
        for (name, version) in objects {
            assert_eq!(cache.seen(&key(name), Thing(*version, Some(1))), Some(None));
        }
        assert!(!cache.is_synced());
        assert!(cache.synced(Version(list)).is_empty());
        cache
    }

    #[test]
    fn an_older_event_does_not_replace_an_own_write() {
        let mut cache = watched(&[("a", 5)], 10);
        assert!(cache.enter(&key("a"), Thing(12, Some(1))));
        assert_eq!(cache.seen(&key("a"), Thing(11, Some(1))), None);
        assert_eq!(cache.gone(&key("a"), Version(11)), None);
        assert_eq!(cache.get(&key("a")), Some(&Thing(12, Some(1))));
        assert_eq!(cache.seen(&key("a"), Thing(13, Some(2))), Some(Some(Thing(12, Some(1)))));
    }

    #[test]
    fn an_own_write_whose_object_went_meanwhile_does_not_come_back() {
        let mut cache = watched(&[], 10);
        cache.seen(&key("a"), Thing(12, Some(1)));
        cache.gone(&key("a"), Version(13));
        assert!(!cache.enter(&key("a"), Thing(12, Some(1))));
        assert_eq!(cache.get(&key("a")), None);
        // Nor where a bookmark says that the watch is further.
        cache.passed(Version(20));
        assert!(!cache.enter(&key("b"), Thing(19, Some(1))));
        assert!(cache.enter(&key("b"), Thing(21, Some(1))));
    }

    #[test]
    fn what_a_read_missed_is_gone_unless_something_newer_is_known() {
        let mut cache = watched(&[("a", 5)], 10);
        cache.enter(&key("a"), Thing(12, Some(1)));
        cache.missed(&key("a"), Version(5));
        assert_eq!(cache.get(&key("a")), Some(&Thing(12, Some(1))));
        cache.missed(&key("a"), Version(12));
        assert_eq!((cache.get(&key("a")), cache.count(Uid::parse("1"))), (None, 0));
    }

    #[test]
    fn an_own_write_judges_the_version_that_the_watch_told_first() {
        let mut cache = watched(&[], 10);
        cache.seen(&key("a"), Thing(12, None));
        assert!(cache.enter(&key("a"), Thing(12, Some(1))));
        assert_eq!(cache.get(&key("a")), Some(&Thing(12, Some(1))));
        // But not an older one.
        cache.seen(&key("a"), Thing(14, None));
        assert!(!cache.enter(&key("a"), Thing(13, Some(1))));
    }

    #[test]
    fn a_new_list_removes_what_is_not_in_it_but_newer_own_writes() {
        let mut cache = watched(&[("a", 5), ("b", 6)], 10);
        cache.restarted();
        cache.seen(&key("a"), Thing(5, Some(1)));
        assert!(cache.is_synced());
        cache.enter(&key("c"), Thing(31, Some(1)));
        let gone = cache.synced(Version(30));
        assert_eq!(gone, [(key("b"), Thing(6, Some(1)))]);
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.count(Uid::parse("1")), 2);
    }

    #[test]
    fn owners_are_found_and_follow_changes() {
        let mut cache = watched(&[("a", 5), ("b", 6)], 10);
        cache.seen(&key("b"), Thing(11, Some(2)));
        let names = |cache: &Cache<Thing>, owner: &str| {
            cache.owned_by(Uid::parse(owner)).map(|(key, _)| key.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names(&cache, "1"), ["a"]);
        assert_eq!(names(&cache, "2"), ["b"]);
        cache.seen(&key("b"), Thing(12, None));
        cache.gone(&key("a"), Version(13));
        assert_eq!((cache.count(Uid::parse("1")), cache.count(Uid::parse("2"))), (0, 0));
        assert!(cache.owned.is_empty());
    }

    #[test]
    fn names_are_found_by_their_beginning_in_one_namespace() {
        let mut cache = watched(&[("al", 1), ("al-dev-x", 2), ("al-dev-y", 3), ("al-dev2", 4), ("b", 5)], 10);
        cache.seen(&Key::new("other", "al-dev-z"), Thing(11, None));
        cache.seen(&Key::new("nr", "al-dev-z"), Thing(12, None));
        let names: Vec<_> =
            cache.beginning_with("ns", "al-dev-").map(|(key, _)| key.name.to_string()).collect();
        assert_eq!(names, ["al-dev-x", "al-dev-y"]);
        assert_eq!(cache.beginning_with("ns", "c").count(), 0);
    }

    /// Kilobytes of this process in memory.
    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn a_hundred_thousand_records_fit_into_fifty_megabytes() {
        use crate::records::{Record, Rollout, State};
        let owners: Vec<Uid> = (0..20_000).map(|n| Uid::parse(&n.to_string())).collect();
        let mut cache = Cache::default();
        let before = resident();
        for n in 0..100_000_u64 {
            let name = format!("gateway-producer{:05}-dev-instance{}", n / 5, n % 5);
            let record = Record {
                uid: Uid::parse(&name),
                version: Version(n + 1),
                owner: Some(owners[usize::try_from(n / 5).unwrap()]),
                ours: true,
                state: State::Matches([7; 32]),
                rollout: Rollout::Done,
                autoscaled: false,
                deleting: false,
            };
            cache.seen(&Key::new("customer", &name), record);
        }
        let kilobytes = resident() - before;
        assert_eq!(cache.len(), 100_000);
        assert!(
            kilobytes < 50 * 1024,
            "{kilobytes} KiB for 100,000 records: {} bytes each",
            kilobytes * 1024 / 100_000
        );
    }
}
