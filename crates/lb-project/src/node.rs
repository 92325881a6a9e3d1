//! Values of JSON and YAML with their places: what every reader of this crate reads from.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Number, Value};

/// A value and where it stands in its text, bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Data {
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value, as written: keys may repeat.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Data {
    /// What it is, as messages say it.
    pub(crate) fn words(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl Node {
    /// The value of a key; of a repeated key the last one, as JavaScript reads it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        match &self.data {
            Data::Map(entries) => {
                entries.iter().rev().find(|entry| entry.key == key).map(|entry| &entry.value)
            }
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::List(_) => None,
        }
    }

    /// Keys and values, each key once: where it first stands, with the value that it last has.
    pub(crate) fn fields(&self) -> Vec<&Entry> {
        let Data::Map(entries) = &self.data else { return Vec::new() };
        let mut places: HashMap<&str, usize> = HashMap::with_capacity(entries.len());
        let mut fields: Vec<&Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            let place = *places.entry(&entry.key).or_insert(fields.len());
            if place == fields.len() {
                fields.push(entry);
            } else {
                fields[place] = entry;
            }
        }
        fields
    }

    /// The text of a text or number: ids are written as both.
    pub(crate) fn as_text(&self) -> Option<String> {
        match &self.data {
            Data::Text(text) => Some(text.clone()),
            Data::Number(number) => Some(number.to_string()),
            Data::Null | Data::Flag(_) | Data::List(_) | Data::Map(_) => None,
        }
    }

    /// The values directly inside this one.
    pub(crate) fn children(&self) -> Vec<&Node> {
        match &self.data {
            Data::List(items) => items.iter().collect(),
            Data::Map(_) => self.fields().into_iter().map(|entry| &entry.value).collect(),
            Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) => Vec::new(),
        }
    }

    /// The value without places.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Null => Value::Null,
            Data::Flag(flag) => Value::Bool(*flag),
            Data::Number(number) => Value::Number(number.clone()),
            Data::Text(text) => Value::String(text.clone()),
            Data::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Data::Map(_) => Value::Object(
                self.fields()
                    .into_iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect::<Map<_, _>>(),
            ),
        }
    }
}

/// Adds a segment to a JSON pointer, escaped (RFC 6901).
pub(crate) fn push_segment(pointer: &mut String, key: &str) {
    pointer.push('/');
    if key.contains(['~', '/']) {
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        pointer.push_str(key);
    }
}
