//! An entity, and its two forms: the data that is answered, and the value that stands in a file.

use std::fmt::{self, Write};
use std::sync::Arc;

use lb_vocab::SafePath;
use serde_json::{Map, Number, Value, json};

use super::entity::{Home, Kind, Schema, Stored, Type};

/// An object.
pub(crate) type Data = Map<String, Value>;

/// What the names of instance methods start with in a model's file.
const INSTANCE: &str = "prototype.";

/// A step into a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// Where an entity stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) path: SafePath,
    pub(crate) steps: Vec<Step>,
}

/// One entity.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) id: Arc<str>,
    /// Without defaults: what conditions and orders look at.
    pub(crate) data: Data,
    /// As it is answered, with defaults.
    pub(crate) text: String,
    /// `None`: LoopBack's own, which cannot be changed.
    pub(crate) spot: Option<Spot>,
}

impl Record {
    /// An entity with this data, in which its id is noted where the kind has one beside the name.
    pub(crate) fn new(kind: Kind, id: String, mut data: Data, spot: Option<Spot>) -> Self {
        let schema = kind.schema();
        if schema.property("id").is_some() {
            data.insert("id".to_owned(), Value::from(&*id));
        }
        coerce(schema, &mut data);
        let text = written(schema, &data);
        Self { kind, id: id.into(), data, text, spot }
    }

    /// The text under a key.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(Value::as_str)
    }
}

/// What is answered of data, in order, with defaults.
fn pairs<'d>(
    schema: &'static Schema,
    data: &'d Data,
    defaults: &'d [(&'static str, Value)],
) -> impl Iterator<Item = (&'d str, &'d Value)> {
    let default = |name: &str| defaults.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let declared = schema.properties.iter().filter_map(move |property| {
        Some((property.name, data.get(property.name).or_else(|| default(property.name))?))
    });
    let others = data.iter().filter(|(key, _)| schema.property(key).is_none());
    declared.chain(others.map(|(key, value)| (key.as_str(), value)))
}

/// The data in the order in which it is answered, with defaults.
pub(crate) fn shown(schema: &'static Schema, data: &Data) -> Data {
    let defaults = schema.defaults();
    pairs(schema, data, &defaults).map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// The same as text.
fn written(schema: &'static Schema, data: &Data) -> String {
    let defaults = schema.defaults();
    let mut text = String::with_capacity(128);
    for (key, value) in pairs(schema, data, &defaults) {
        text.push(if text.is_empty() { '{' } else { ',' });
        // Writing to a text cannot fail.
        let _ = write!(text, "{}:{value}", Key(key));
    }
    if text.is_empty() {
        text.push('{');
    }
    text.push('}');
    text
}

/// A key as JSON has it.
struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            write!(f, "\"{}\"", self.0)
        } else {
            write!(f, "{}", Value::from(self.0))
        }
    }
}

/// Makes values of declared properties into what they are declared to be, as JavaScript would.
pub(crate) fn coerce(schema: &Schema, data: &mut Data) {
    for property in schema.properties {
        if let Some(value) = data.get_mut(property.name)
            && let Some(coerced) = coerced(property.kind, value)
        {
            *value = coerced;
        }
    }
}

/// The value as this type, `None` where it is that already or cannot be.
pub(crate) fn coerced(kind: Type, value: &Value) -> Option<Value> {
    match (kind, value) {
        (Type::Any, _) | (_, Value::Null) | (Type::Text, Value::String(_)) | (Type::Flag, Value::Bool(_)) => {
            None
        }
        (Type::Text, Value::Bool(flag)) => Some(Value::from(flag.to_string())),
        (Type::Text, Value::Number(number)) => Some(Value::from(number.to_string())),
        (Type::Flag, Value::String(text)) => Some(json!(!matches!(text.as_str(), "" | "0" | "false"))),
        (Type::Flag, Value::Number(number)) => Some(json!(number.as_f64() != Some(0.0))),
        (Type::Flag, Value::Array(_) | Value::Object(_)) => Some(json!(true)),
        (Type::Number, Value::Bool(flag)) => Some(json!(i32::from(*flag))),
        (Type::Number, Value::String(text)) => text.trim().parse::<Number>().ok().map(Value::Number),
        (Type::Text, Value::Array(_) | Value::Object(_))
        | (Type::Number, Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
    }
}

/// Numbers as JavaScript writes them: without a fraction that is zero.
pub(crate) fn like_javascript(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|_| number.is_f64())
                && float.fract() == 0.0
                && float.abs() < 9e15
            {
                #[expect(clippy::cast_possible_truncation, reason = "it is a whole number within 2^53")]
                let whole = float as i64;
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(like_javascript),
        Value::Object(map) => map.values_mut().for_each(like_javascript),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The key under which an entity stands in the object that holds it.
pub(crate) fn key(kind: Kind, data: &Data) -> String {
    let name = data.get("name").and_then(Value::as_str).unwrap_or_default();
    match data.get("isStatic") {
        Some(Value::Bool(false)) if kind == Kind::ModelMethod => format!("{INSTANCE}{name}"),
        _ => name.to_owned(),
    }
}

/// The value that stands in a file for this data.
pub(crate) fn to_config(kind: Kind, data: &Data) -> Value {
    let schema = kind.schema();
    match schema.home {
        Home::Setting(_) => return data.get("value").cloned().unwrap_or(Value::Null),
        Home::Directory => return data.get("modelsMetadata").cloned().unwrap_or(Value::Null),
        Home::Package | Home::Member(_) | Home::Model | Home::Part(_) | Home::Item(_) | Home::Nowhere => {}
    }
    if kind == Kind::ModelProperty && data.get("disableInherit") == Some(&json!(true)) {
        return json!(false);
    }
    let declared = schema.properties.iter().filter_map(|property| {
        let name = match property.stored {
            Stored::Same => property.name,
            Stored::As(name) => name,
            Stored::Not => return None,
        };
        data.get(property.name).map(|value| (name.to_owned(), value.clone()))
    });
    let others = data.iter().filter(|(key, _)| schema.property(key).is_none() && !schema.leaves_out(key));
    Value::Object(declared.chain(others.map(|(key, value)| (key.clone(), value.clone()))).collect())
}

/// The data of a value that stands in a file under this key; `None` where it is nothing that an entity can be.
pub(crate) fn from_config(kind: Kind, key: &str, config: &Value) -> Option<Data> {
    let schema = kind.schema();
    let mut data = match (schema.home, config) {
        (Home::Setting(_), value) => Data::from_iter([("value".to_owned(), value.clone())]),
        (Home::Part("properties"), Value::Null | Value::Bool(false)) => {
            Data::from_iter([("disableInherit".to_owned(), json!(true))])
        }
        (Home::Part("properties"), shorthand) if shorthand.get("type").is_none_or(Value::is_null) => {
            Data::from_iter([("type".to_owned(), shorthand.clone())])
        }
        (_, Value::Object(map)) => map.clone(),
        (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            return None;
        }
    };
    data.retain(|key, _| !schema.leaves_out(key));
    let renamed: Vec<_> = schema
        .properties
        .iter()
        .filter_map(|property| match property.stored {
            Stored::As(stored) => Some((property.name, data.shift_remove(stored)?)),
            Stored::Same | Stored::Not => None,
        })
        .collect();
    data.retain(|key, _| schema.property(key).is_none_or(|property| property.stored != Stored::Not));
    data.extend(renamed.into_iter().map(|(name, value)| (name.to_owned(), value)));
    if kind == Kind::ModelMethod {
        data.insert("isStatic".to_owned(), json!(!key.starts_with(INSTANCE)));
        data.insert("name".to_owned(), Value::from(key.strip_prefix(INSTANCE).unwrap_or(key)));
    } else if kind.schema().home != Home::Model && kind != Kind::PackageDefinition {
        data.insert("name".to_owned(), Value::from(key));
    }
    Some(data)
}
