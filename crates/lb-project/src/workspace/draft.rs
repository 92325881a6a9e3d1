//! Changes to a copy of the workspace: what differs in the end is what has to be saved.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_vocab::SafePath;
use serde_json::{Value, json};

use super::Workspace;
use super::connector::{self, PackageChange};
use super::edit::JsonText;
use super::entity::{Home, Kind, Schema, is_part_key};
use super::failure::Failure;
use super::file::File;
use super::layout::PACKAGE;
use super::record::{Record, Spot, Step, like_javascript};
use super::request::Answer;
use crate::node::{Data as NodeData, Node};

/// A model's properties that are a list, and the like.
const WRONG_SHAPE: &str = "what its parts stand in has another shape: mend it first";
/// A value is nested too deeply for where it is put, or there is no such place.
const NO_PLACE: &str = "the value cannot be put there";
/// Entities that a commit's message names.
const NAMED: usize = 3;

/// A copy of a workspace that is being changed.
pub(crate) struct Draft<'w> {
    original: &'w Workspace,
    pub(crate) workspace: Workspace,
    touched: BTreeSet<SafePath>,
    what: Vec<String>,
}

impl<'w> Draft<'w> {
    pub(crate) fn of(original: &'w Workspace) -> Self {
        Self { original, workspace: original.clone(), touched: BTreeSet::new(), what: Vec::new() }
    }

    /// Notes what a commit's message will name.
    pub(crate) fn names(&mut self, kind: Kind, id: &str) {
        self.what.push(format!("{} {id}", kind.schema().name));
    }

    /// The entity that stands somewhere.
    pub(crate) fn at(&self, kind: Kind, spot: &Spot) -> Option<&Record> {
        self.workspace.records.of(kind).find(|record| record.spot.as_ref() == Some(spot))
    }

    /// Writes a file as a whole, or removes it.
    pub(crate) fn put(&mut self, path: &SafePath, text: Option<String>) {
        self.workspace.update(path, text.map(String::into_bytes));
        self.touched.insert(path.clone());
    }

    /// Edits a file's text; a file that is not there starts as an empty object.
    fn edit(
        &mut self,
        path: &SafePath,
        edit: impl FnOnce(&mut JsonText) -> Result<(), &'static str>,
    ) -> Result<(), Failure> {
        let unreadable = |why: &str| Failure::Unreadable { path: path.to_string(), why: why.to_owned() };
        let (mut json, marked) = match self.workspace.files.get(path) {
            Some(file) => file.edit(path)?,
            None => (JsonText::new("{}\n").map_err(|error| unreadable(&error.problem))?, false),
        };
        edit(&mut json).map_err(unreadable)?;
        let mark = if marked { "\u{feff}" } else { "" };
        self.put(path, Some(format!("{mark}{}", json.into_text())));
        Ok(())
    }

    /// Puts a value where an entity stands, or will stand.
    pub(crate) fn set(&mut self, schema: &'static Schema, spot: &Spot, value: &Value) -> Result<(), Failure> {
        self.edit(&spot.path, |json| {
            if let [list @ Step::Key(_), _] = &spot.steps[..] {
                ensure_list(json, schema, list)?;
            }
            json.set(&spot.steps, value, &|_| 0).then_some(()).ok_or(NO_PLACE)
        })
    }

    /// Changes the object that an entity is into a value: these members of it alone or, without such, all of them.
    pub(crate) fn change(
        &mut self,
        schema: &'static Schema,
        spot: &Spot,
        value: &Value,
        only: Option<&[&str]>,
    ) -> Result<(), Failure> {
        let whole = matches!(schema.home, Home::Setting(_) | Home::Directory);
        let Value::Object(new) = value else { return self.set(schema, spot, value) };
        self.edit(&spot.path, |json| {
            let mut old = json.get(&spot.steps).map(Node::to_value).unwrap_or_default();
            like_javascript(&mut old);
            let Value::Object(old) = old else {
                return json.set(&spot.steps, value, &|_| 0).then_some(()).ok_or(NO_PLACE);
            };
            let at = |key: &String| [&spot.steps[..], &[Step::Key(key.clone())]].concat();
            let meant = |key: &str| only.filter(|_| !whole).is_none_or(|only| only.contains(&key));
            let part = |key: &str| schema.home == Home::Model && is_part_key(key);
            let gone = old.keys().filter(|key| meant(key) && !new.contains_key(*key) && !part(key));
            let gone: Vec<_> = gone.map(at).collect();
            json.remove(gone.iter().map(Vec::as_slice));
            for (key, value) in new.iter().filter(|(key, value)| meant(key) && old.get(*key) != Some(value)) {
                json.set(&at(key), value, &|key| schema.rank(key)).then_some(()).ok_or(NO_PLACE)?;
            }
            Ok(())
        })
    }

    /// Takes out what stands there.
    pub(crate) fn remove(&mut self, spots: impl IntoIterator<Item = Spot>) -> Result<(), Failure> {
        let mut files: BTreeMap<SafePath, Vec<Vec<Step>>> = BTreeMap::new();
        for Spot { path, steps } in spots {
            files.entry(path).or_default().push(steps);
        }
        for (path, places) in files {
            self.edit(&path, |json| {
                json.remove(places.iter().map(Vec::as_slice));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Makes `package.json` name the packages that data sources need; where it cannot be read it stays.
    fn packages(&mut self) -> Vec<PackageChange> {
        let changes = connector::changes(&self.original.packages(), &self.workspace.packages());
        let Ok(path) = PACKAGE.parse::<SafePath>() else { return changes };
        let editable = self.workspace.files.get(&path).is_some_and(|file| file.edit(&path).is_ok());
        if changes.is_empty() || !editable {
            return changes;
        }
        let steps = |name: &str| vec![Step::Key("dependencies".to_owned()), Step::Key(name.to_owned())];
        let edited = self.edit(&path, |json| {
            for change in &changes {
                match change {
                    PackageChange::Install(package) => {
                        let steps = steps(package.as_str());
                        if json.get(&steps[..1]).is_none() {
                            json.set(&steps[..1], &json!({}), &|_| 0);
                        }
                        if json.get(&steps).is_none() {
                            json.set(&steps, &json!(package.versions()), &|_| 0);
                        }
                    }
                    PackageChange::Remove(package) => {
                        json.remove([&steps(package.as_str())[..]]);
                    }
                }
            }
            Ok(())
        });
        // It was editable a moment ago.
        drop(edited);
        changes
    }

    /// The answer with what has to be saved.
    pub(crate) fn answer(mut self, status: u16, body: Vec<u8>) -> Answer {
        let packages = self.packages();
        let bytes = |workspace: &Workspace, path| workspace.files.get(path).map(Arc::clone);
        let changed = self.touched.iter().filter_map(|path| {
            let (before, after) = (bytes(self.original, path), bytes(&self.workspace, path));
            let same = before.as_deref().map(File::bytes) == after.as_deref().map(File::bytes);
            (!same).then(|| (path.clone(), after.map(|file| file.bytes().to_vec())))
        });
        let changes: Vec<_> = changed.collect();
        let what = match self.what.len() {
            _ if changes.is_empty() => String::new(),
            0..=NAMED => self.what.join(", "),
            many => format!("{} and {} more", self.what[..NAMED].join(", "), many - NAMED),
        };
        Answer { status, body, changes, what, packages }
    }
}

/// Makes sure that a model's file has the object or list that its parts of a kind stand in.
fn ensure_list(json: &mut JsonText, schema: &Schema, list: &Step) -> Result<(), &'static str> {
    let steps = std::slice::from_ref(list);
    let empty = if matches!(schema.home, Home::Item(_)) { json!([]) } else { json!({}) };
    match (json.get(steps).map(|node| &node.data), &empty) {
        (Some(NodeData::Map(_)), Value::Object(_)) | (Some(NodeData::List(_)), Value::Array(_)) => {
            return Ok(());
        }
        (None | Some(NodeData::Null), _) => {}
        (Some(_), _) => return Err(WRONG_SHAPE),
    }
    let rank = |key: &str| Kind::ModelDefinition.schema().rank(key);
    json.set(steps, &empty, &rank).then_some(()).ok_or(NO_PLACE)
}
