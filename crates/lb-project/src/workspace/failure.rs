//! Why a request is refused, and LoopBack's envelope that says so.

use std::fmt;

use serde_json::{Map, Value, json};

use super::entity::Kind;
use super::record::Data;

/// The longest text of a value that a message repeats, characters.
const SHOWN: usize = 32;

/// Why a request is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("There is no method to handle {method} {path}")]
    NoRoute { method: &'static str, path: String },
    #[error("Shared class \"{kind}\" has no method handling {method} {path}")]
    NoMethod { kind: &'static str, method: &'static str, path: String },
    #[error("{what} runs a producer's code or a process: it is not offered here")]
    NotOffered { what: String },
    #[error("Unknown \"{}\" id \"{id}\".", kind.schema().name)]
    Unknown { kind: Kind, id: String },
    #[error("could not find a model with id {id}")]
    NoParent { id: String },
    #[error("Could not replace. Object with id {id} does not exist!")]
    NothingToReplace { id: String },
    #[error("No instance with id {id} found for {}", kind.schema().name)]
    NoInstance { kind: Kind, id: String },
    #[error("{0}")]
    Bad(String),
    #[error("{property} property (id) cannot be updated from {from} to {to}")]
    Fixed { property: &'static str, from: String, to: String },
    #[error("There are multiple instances found.Upsert Operation will not be performed!")]
    Several,
    #[error("The `{}` instance is not valid. Details: {}.", kind.schema().name, Listed(problems))]
    Invalid { kind: Kind, problems: Vec<Problem> },
    #[error("{} \"{id}\" is LoopBack's own: it can be read only", kind.schema().name)]
    ReadOnly { kind: Kind, id: String },
    #[error("{} \"{id}\" cannot be removed: {why}", kind.schema().name)]
    Kept { kind: Kind, id: String, why: &'static str },
    #[error("`{path}` cannot be changed: {why}")]
    Unreadable { path: String, why: String },
    #[error("The answer has more than {0} bytes: ask for less")]
    TooLarge(usize),
    #[error("{} of {} entities cannot be stored, so none is: see `details`", failures.iter().flatten().count(), failures.len())]
    Together { failures: Vec<Option<Failure>> },
}

/// What is wrong with one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) property: &'static str,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// The value, as messages repeat it.
    pub(crate) value: String,
}

impl Problem {
    pub(crate) fn new(
        property: &'static str,
        code: &'static str,
        message: impl Into<String>,
        data: &Data,
    ) -> Self {
        Self { property, code, message: message.into(), value: shown(data.get(property)) }
    }
}

/// Problems in one sentence.
struct Listed<'a>(&'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Problem { property, code: _, message, value }) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}`{property}` {message} (value: {value})")?;
        }
        Ok(())
    }
}

/// A value in a message: short, in one line.
fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None => return "undefined".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(_)) => "[object Object]".to_owned(),
        Some(Value::Array(_)) => "[array]".to_owned(),
        Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_))) => return value.to_string(),
    };
    let characters = text.chars().count();
    if characters <= SHOWN {
        return Value::from(text).to_string();
    }
    let head = text.chars().take(25);
    let tail = text.chars().skip(characters - 3);
    Value::from(head.chain("...".chars()).chain(tail).collect::<String>()).to_string()
}

impl Failure {
    pub(crate) fn bad(why: impl Into<String>) -> Self {
        Self::Bad(why.into())
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::NoRoute { .. }
            | Self::NoMethod { .. }
            | Self::Unknown { .. }
            | Self::NoParent { .. }
            | Self::NothingToReplace { .. }
            | Self::NoInstance { .. } => 404,
            Self::NotOffered { .. } => 501,
            Self::Bad(_) | Self::Fixed { .. } | Self::Several => 400,
            Self::ReadOnly { .. } | Self::Kept { .. } => 403,
            Self::Invalid { .. } | Self::Unreadable { .. } | Self::Together { .. } => 422,
            Self::TooLarge(_) => 413,
        }
    }

    /// The word that programs look at.
    fn code(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } | Self::NoParent { .. } => Some("MODEL_NOT_FOUND"),
            Self::NotOffered { .. } => Some("NOT_OFFERED"),
            Self::ReadOnly { .. } | Self::Kept { .. } => Some("READ_ONLY"),
            Self::Unreadable { .. } => Some("FILE_UNREADABLE"),
            Self::TooLarge(_) => Some("TOO_LARGE"),
            Self::NoRoute { .. }
            | Self::NoMethod { .. }
            | Self::NothingToReplace { .. }
            | Self::NoInstance { .. }
            | Self::Bad(_)
            | Self::Fixed { .. }
            | Self::Several
            | Self::Invalid { .. }
            | Self::Together { .. } => None,
        }
    }

    /// What stands under `error` in the envelope.
    pub(crate) fn error(&self) -> Value {
        let mut error = Map::new();
        error.insert("statusCode".to_owned(), json!(self.status()));
        let name = if matches!(self, Self::Invalid { .. }) { "ValidationError" } else { "Error" };
        error.insert("name".to_owned(), json!(name));
        error.insert("message".to_owned(), json!(self.to_string()));
        if let Some(code) = self.code() {
            error.insert("code".to_owned(), json!(code));
        }
        if let Some(details) = self.details() {
            error.insert("details".to_owned(), details);
        }
        Value::Object(error)
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::Invalid { kind, problems } => {
                let mut codes: Map<String, Value> = Map::new();
                let mut messages: Map<String, Value> = Map::new();
                for Problem { property, code, message, value: _ } in problems {
                    for (map, text) in [(&mut codes, *code), (&mut messages, message.as_str())] {
                        if let Some(list) = map.entry(*property).or_insert_with(|| json!([])).as_array_mut() {
                            list.push(json!(text));
                        }
                    }
                }
                Some(json!({ "context": kind.schema().name, "codes": codes, "messages": messages }))
            }
            Self::Together { failures } => Some(
                failures.iter().map(|failure| failure.as_ref().map_or(Value::Null, Self::error)).collect(),
            ),
            Self::NoRoute { .. }
            | Self::NoMethod { .. }
            | Self::NotOffered { .. }
            | Self::Unknown { .. }
            | Self::NoParent { .. }
            | Self::NothingToReplace { .. }
            | Self::NoInstance { .. }
            | Self::Bad(_)
            | Self::Fixed { .. }
            | Self::Several
            | Self::ReadOnly { .. }
            | Self::Kept { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge(_) => None,
        }
    }
}
