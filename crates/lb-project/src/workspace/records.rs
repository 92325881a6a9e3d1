//! The entities of a workspace, by kind and id.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::entity::{Kind, Link, Relation, SCHEMAS};
use super::record::Record;

/// All entities. A copy shares them.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    kinds: Vec<BTreeMap<Arc<str>, Arc<Record>>>,
}

impl Default for Records {
    fn default() -> Self {
        Self { kinds: vec![BTreeMap::new(); SCHEMAS.len()] }
    }
}

impl Records {
    fn kind(&self, kind: Kind) -> &BTreeMap<Arc<str>, Arc<Record>> {
        &self.kinds[kind as usize]
    }

    pub(crate) fn insert(&mut self, record: Arc<Record>) {
        self.kinds[record.kind as usize].insert(Arc::clone(&record.id), record);
    }

    pub(crate) fn remove(&mut self, kind: Kind, id: &str) {
        self.kinds[kind as usize].remove(id);
    }

    /// Those of a kind, by id.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        self.kind(kind).values().map(|record| &**record)
    }

    /// The one with this id. A method is also found under the id that says that it is an instance's, and, where it is
    /// the only one, under its bare name, which was its id once.
    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&Arc<Record>> {
        let found = self.kind(kind).get(id);
        if found.is_some() || kind != Kind::ModelMethod {
            return found;
        }
        let instance = id.split_once(".prototype.").and_then(|(model, name)| {
            let found = self.kind(kind).get(format!("{model}.{name}").as_str())?;
            (found.data.get("isStatic") == Some(&Value::Bool(false))).then_some(found)
        });
        instance.or_else(|| {
            let mut named = self.kind(kind).values().filter(|record| record.text_of("name") == Some(id));
            named.next().filter(|_| named.next().is_none())
        })
    }

    /// Those below an id: their ids start with it and a dot, and their property of this name is it.
    pub(crate) fn below<'s>(
        &'s self,
        kind: Kind,
        key: &'s str,
        id: &'s str,
    ) -> impl Iterator<Item = &'s Record> {
        let (from, to) = (format!("{id}."), format!("{id}/"));
        let bounds = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        let range = self.kind(kind).range::<str, _>(bounds);
        range.map(|(_, record)| &**record).filter(move |record| record.text_of(key) == Some(id))
    }

    /// What a relation of an entity leads to.
    pub(crate) fn related<'s>(&'s self, record: &'s Record, relation: &'static Relation) -> Vec<&'s Record> {
        match relation.link {
            Link::Many(key @ ("facetName" | "modelId")) => {
                self.below(relation.target, key, &record.id).collect()
            }
            Link::Many(key) => {
                self.of(relation.target).filter(|other| other.text_of(key) == Some(&record.id)).collect()
            }
            Link::One(key) => {
                let id = record.text_of(key);
                id.and_then(|id| self.kind(relation.target).get(id))
                    .map(|record| &**record)
                    .into_iter()
                    .collect()
            }
        }
    }
}
