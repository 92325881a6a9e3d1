//! Tolerant reading: a value, the entity it belongs to, and where findings go.
//!
//! A reader of an entity is a function from a [`Cursor`] to [`Read`]: where something cannot be understood, the
//! cursor notes a finding with the place and answers [`Held`], which `?` carries up to whoever can go on without.

use std::cell::RefCell;
use std::collections::HashSet;

use lb_vocab::{EntityKind, Finding, Place, Severity};
use serde_json::{Map, Value};

use crate::entities::{Broken, Entity};
use crate::json;
use crate::node::{Data, Entry, Node, push_segment};
use crate::text::Text;

/// Findings of one producer that are kept; more say nothing that these do not.
const MAX_FINDINGS: usize = 1000;
/// Keys that are not data to JavaScript: an object with them changes what other code sees.
const PROTOTYPE_KEYS: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// Something could not be understood; an error finding says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held;

/// What reading gives.
pub(crate) type Read<T> = Result<T, Held>;

/// Where findings are collected.
#[derive(Debug, Default)]
pub(crate) struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub(crate) fn add(&self, finding: Finding) {
        let mut list = self.0.borrow_mut();
        // Errors are what `Unreadable` quotes: they always find room.
        if list.len() < MAX_FINDINGS || finding.severity == Severity::Error && list.len() < 2 * MAX_FINDINGS {
            list.push(finding);
        }
    }

    /// Notes an error about a file as a whole.
    pub(crate) fn refuse_file(&self, code: &str, file: &str, message: impl Into<String>) -> Held {
        self.add(Finding::error(code, Place::file(file), message));
        Held
    }

    /// The latest error.
    pub(crate) fn last_error(&self) -> Option<Finding> {
        self.0.borrow().iter().rev().find(|finding| finding.severity == Severity::Error).cloned()
    }

    /// All of them, by place.
    pub(crate) fn sorted(self) -> Vec<Finding> {
        let mut list = self.0.into_inner();
        list.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.cmp(b)));
        list.dedup();
        list
    }
}

/// A file that is being read.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// Repository and path, as places have it.
    pub(crate) file: String,
    /// Its text, or the text of a string in it.
    pub(crate) text: Text<'a>,
    /// Where findings go.
    pub(crate) findings: &'a Findings,
}

impl Document<'_> {
    /// The place of an offset of the text.
    pub(crate) fn place(&self, offset: usize, kind: EntityKind, name: &str) -> Place {
        let (line, column) = self.text.position(offset);
        Place { file: self.file.clone(), line, column, pointer: String::new(), kind, name: name.to_owned() }
    }

    /// The JSON value that the text is.
    pub(crate) fn json(&self, kind: EntityKind, name: &str) -> Read<Node> {
        json::parse(self.text.as_str()).map_err(|error| {
            self.refuse(error.offset, kind, name, "NotJson", &format!("it is not JSON: {}", error.problem))
        })
    }

    /// Notes an error at an offset of the text.
    pub(crate) fn refuse(
        &self,
        offset: usize,
        kind: EntityKind,
        name: &str,
        code: &str,
        message: &str,
    ) -> Held {
        self.findings.add(Finding::error(code, self.place(offset, kind, name), message));
        Held
    }
}

/// A value inside a document, and the entity that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) node: &'a Node,
    document: &'a Document<'a>,
    pointer: String,
    kind: EntityKind,
    name: String,
}

impl<'a> Cursor<'a> {
    /// The document's top value.
    pub(crate) fn root(document: &'a Document<'a>, node: &'a Node, kind: EntityKind, name: &str) -> Self {
        Self { node, document, pointer: String::new(), kind, name: name.to_owned() }
    }

    /// The same value as an entity of its own, named after its name or its id.
    pub(crate) fn entity(mut self, kind: EntityKind) -> Self {
        self.kind = kind;
        self.name = self.label("name").or_else(|| self.label("id")).unwrap_or_default();
        self
    }

    /// The same value as an entity of its own, of this name.
    pub(crate) fn named(mut self, kind: EntityKind, name: &str) -> Self {
        self.kind = kind;
        name.clone_into(&mut self.name);
        self
    }

    /// A text or number under this key, without a finding where there is none.
    pub(crate) fn label(&self, key: &str) -> Option<String> {
        self.node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty())
    }

    /// The name of the entity that it belongs to.
    pub(crate) fn entity_name(&self) -> &str {
        &self.name
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> Place {
        let mut place = self.document.place(self.node.span.start, self.kind, &self.name);
        place.pointer.clone_from(&self.pointer);
        place
    }

    /// Notes that something is deployed otherwise than asked for.
    pub(crate) fn warn(&self, code: &str, message: impl Into<String>) {
        self.document.findings.add(Finding::warning(code, self.place(), message));
    }

    /// Notes that something is held or refused.
    pub(crate) fn refuse(&self, code: &str, message: impl Into<String>) -> Held {
        self.document.findings.add(Finding::error(code, self.place(), message));
        Held
    }

    /// Where findings about it go.
    pub(crate) fn findings(&self) -> &'a Findings {
        self.document.findings
    }

    /// Reads the value as an entity, which is broken where that fails.
    pub(crate) fn read<T>(&self, reader: impl FnOnce(&Self) -> Read<T>) -> Entity<T> {
        reader(self).map_or_else(|Held| self.broken(self.label("id")), Entity::Read)
    }

    /// The value as an entity that could not be read.
    pub(crate) fn broken<T>(&self, id: Option<String>) -> Entity<T> {
        let name = Some(self.name.clone()).filter(|name| !name.is_empty());
        Entity::Broken(Broken { id, name, place: self.place() })
    }

    fn child(&self, segment: &str, node: &'a Node) -> Self {
        let mut pointer = String::with_capacity(self.pointer.len() + 1 + segment.len());
        pointer.push_str(&self.pointer);
        push_segment(&mut pointer, segment);
        Self { node, document: self.document, pointer, kind: self.kind, name: self.name.clone() }
    }

    /// The value of a key. A null counts as not given.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        self.node.get(key).filter(|node| node.data != Data::Null).map(|node| self.child(key, node))
    }

    /// Reads the value of a key where it is given.
    pub(crate) fn optional<T>(&self, key: &str, reader: impl FnOnce(&Self) -> Read<T>) -> Read<Option<T>> {
        self.get(key).map(|value| reader(&value)).transpose()
    }

    /// Reads the value of a key, or what the type has without one.
    pub(crate) fn or_default<T: Default>(&self, key: &str, reader: impl FnOnce(&Self) -> Read<T>) -> Read<T> {
        Ok(self.optional(key, reader)?.unwrap_or_default())
    }

    /// How a message names the value: by its key, or by its number in a list.
    fn subject(&self) -> String {
        let mut segments =
            self.pointer.rsplit('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        let last = segments.next().unwrap_or_default();
        match (last.parse::<usize>(), segments.next().filter(|list| !list.is_empty())) {
            (Ok(index), Some(list)) => format!("entry {} of `{list}`", index + 1),
            _ if last.is_empty() => "it".to_owned(),
            _ => format!("`{last}`"),
        }
    }

    fn wrong_type<T>(&self, wanted: &str) -> Read<T> {
        let what = self.node.data.words();
        Err(self.refuse("WrongType", format!("{} is {what}, it must be {wanted}", self.subject())))
    }

    /// A text. A number counts as its digits: LoopBack's own ids are numbers.
    pub(crate) fn text(&self) -> Read<String> {
        self.node.as_text().map_or_else(|| self.wrong_type("a text"), Ok)
    }

    /// True or false.
    pub(crate) fn flag(&self) -> Read<bool> {
        match self.node.data {
            Data::Flag(flag) => Ok(flag),
            Data::Null | Data::Number(_) | Data::Text(_) | Data::List(_) | Data::Map(_) => {
                self.wrong_type("true or false")
            }
        }
    }

    /// The values of a list.
    pub(crate) fn items(&self) -> Read<Vec<Self>> {
        match &self.node.data {
            Data::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, item)| self.child(&index.to_string(), item))
                .collect()),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::Map(_) => {
                self.wrong_type("a list")
            }
        }
    }

    /// Texts of a list; one text alone counts as a list of it.
    pub(crate) fn texts(&self) -> Read<Vec<String>> {
        match self.node.data {
            Data::Text(_) => Ok(vec![self.text()?]),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::List(_) | Data::Map(_) => {
                self.items()?.iter().map(Self::text).collect()
            }
        }
    }

    /// Keys and values of an object, without those that are not data.
    pub(crate) fn fields(&self) -> Read<Vec<(&'a str, Self)>> {
        self.object()?;
        let fields = self.node.fields().into_iter().filter_map(|Entry { key, value, .. }| {
            let field = self.child(key, value);
            if PROTOTYPE_KEYS.contains(&key.as_str()) {
                field.warn(
                    "PrototypeKey",
                    format!("the key `{key}` is left out: it has a meaning of its own in JavaScript"),
                );
                return None;
            }
            Some((key.as_str(), field))
        });
        Ok(fields.collect())
    }

    /// Nothing but a finding where it is no object.
    pub(crate) fn object(&self) -> Read<()> {
        if matches!(self.node.data, Data::Map(_)) { Ok(()) } else { self.wrong_type("an object") }
    }

    /// An object as it is, without keys that are not data.
    pub(crate) fn map(&self) -> Read<Map<String, Value>> {
        let mut map = Map::new();
        for (key, field) in self.fields()? {
            map.insert(key.to_owned(), field.value());
        }
        Ok(map)
    }

    /// Any value, without keys that are not data.
    pub(crate) fn value(&self) -> Value {
        match &self.node.data {
            Data::Map(_) => self.map().map_or(Value::Null, Value::Object),
            Data::List(_) => Value::Array(self.items().unwrap_or_default().iter().map(Self::value).collect()),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => self.node.to_value(),
        }
    }

    /// An id: a text that may be a key of a JavaScript object.
    pub(crate) fn id(&self) -> Read<String> {
        let id = self.text()?;
        if PROTOTYPE_KEYS.contains(&id.as_str()) {
            return Err(self.refuse("IdRefused", format!("`{id}` cannot be an id: choose another one")));
        }
        Ok(id)
    }

    /// Warns of every key that stands twice in an object here or below: the last one counts.
    pub(crate) fn warn_of_repeated_keys(&self) {
        self.repeated_keys(self.node, &mut self.pointer.clone());
    }

    /// Every value of a file is looked at, so none gets a cursor; `pointer` is that of `node`, and is so again afterwards.
    fn repeated_keys(&self, node: &Node, pointer: &mut String) {
        let here = pointer.len();
        match &node.data {
            Data::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    push_segment(pointer, &index.to_string());
                    self.repeated_keys(item, pointer);
                    pointer.truncate(here);
                }
            }
            Data::Map(entries) => {
                let mut seen = HashSet::with_capacity(entries.len());
                for entry in entries.iter().filter(|entry| !seen.insert(entry.key.as_str())) {
                    self.warn_of_repeated_key(entry, pointer);
                }
                for Entry { key, value, .. } in entries {
                    push_segment(pointer, key);
                    self.repeated_keys(value, pointer);
                    pointer.truncate(here);
                }
            }
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => {}
        }
    }

    fn warn_of_repeated_key(&self, Entry { key, key_span, .. }: &Entry, object: &str) {
        let mut place = self.document.place(key_span.start, self.kind, &self.name);
        object.clone_into(&mut place.pointer);
        push_segment(&mut place.pointer, key);
        let message =
            format!("the key `{key}` stands twice in one object, the last one counts: remove the other");
        self.document.findings.add(Finding::warning("RepeatedKey", place, message));
    }
}
