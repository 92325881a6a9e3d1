//! `where`: which entities are meant, as LoopBack's memory connector tests it, JavaScript's comparisons included.

use std::cmp::Ordering;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::entity::{Schema, Type};
use super::failure::Failure;
use super::record::{Data, coerced};

/// How large a compiled pattern may be, bytes: patterns come from clients.
const MAX_PATTERN: usize = 1 << 18;
/// Conditions of one filter.
const MAX_TESTS: usize = 1000;

/// Operators in the order in which the connector looks for them; `exists`, which it does not know, comes last.
const OPERATORS: [&str; 15] = [
    "regexp", "near", "inq", "nin", "neq", "between", "like", "nlike", "ilike", "nilike", "gt", "gte", "lt",
    "lte", "exists",
];

/// What has to hold.
#[derive(Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Field(String, Test),
}

/// What is tested of one value.
#[derive(Debug)]
pub(crate) enum Test {
    Is(Value),
    IsNot(Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Between(Value, Value),
    Than(Comparison, Value),
    Like(Regex),
    NotLike(Regex),
    Matches(Regex),
    Exists(bool),
    /// Nothing that can be tested here, such as `near`.
    Always,
    Never,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison {
    Gt,
    Gte,
    Lt,
    Lte,
}

impl Condition {
    pub(crate) fn read(value: &Value, schema: &Schema) -> Result<Self, Failure> {
        let mut left = MAX_TESTS;
        Self::group(value, schema, &mut left)
    }

    fn group(value: &Value, schema: &Schema, left: &mut usize) -> Result<Self, Failure> {
        let Value::Object(map) = value else {
            return Err(Failure::bad(format!("The where clause {value} is not an object")));
        };
        let mut all = Vec::with_capacity(map.len());
        for (key, value) in map {
            *left = left.checked_sub(1).ok_or_else(|| {
                Failure::bad(format!("The where clause has more than {MAX_TESTS} conditions"))
            })?;
            if !matches!(key.as_str(), "and" | "or") {
                all.push(Self::Field(key.clone(), test(key, value, schema)?));
                continue;
            }
            let Value::Array(items) = value else {
                return Err(Failure::bad(format!(
                    "The {key} operator has invalid clauses {value}: Value is not an array or object with sequential \
                     numeric indices"
                )));
            };
            let parts = items.iter().map(|item| Self::group(item, schema, left)).collect::<Result<_, _>>()?;
            all.push(if key == "and" { Self::All(parts) } else { Self::Any(parts) });
        }
        Ok(Self::All(all))
    }

    /// Whether it holds of an entity.
    pub(crate) fn holds(&self, data: &Data) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(data)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(data)),
            Self::Field(key, test) => test.holds_at(data, key),
        }
    }
}

fn test(key: &str, value: &Value, schema: &Schema) -> Result<Test, Failure> {
    let kind = schema.property(key).map_or(Type::Any, |property| property.kind);
    let coerce = |value: &Value| coerced(kind, value).unwrap_or_else(|| value.clone());
    let Value::Object(map) = value else {
        return Ok(Test::Is(coerce(value)));
    };
    let invalid = |why: &str| Failure::bad(format!("The {key} property has invalid clause {value}: {why}"));
    let list = |value: &Value| {
        let items = value.as_array().map(|items| items.iter().map(coerce).collect::<Vec<_>>());
        items.ok_or_else(|| invalid("Error: Value is not an array or object with sequential numeric indices"))
    };
    let pattern = |value: &Value, flags: &str| {
        let text = value.as_str().ok_or_else(|| invalid("Expected a string or RegExp"))?;
        compiled(&text.replace('%', ".*").replace('_', "."), flags).map_err(|why| invalid(&why))
    };
    // Of several operators the connector looks at one alone.
    let found = OPERATORS.iter().find_map(|operator| Some((*operator, map.get(*operator)?)));
    let Some((operator, operand)) = found else { return Ok(Test::Never) };
    let than = |comparison| Test::Than(comparison, coerce(operand));
    Ok(match operator {
        "regexp" => Test::Matches(regexp(operand).map_err(|why| invalid(&why))?),
        "near" => Test::Always,
        "inq" => Test::In(list(operand)?),
        "nin" => Test::NotIn(list(operand)?),
        "neq" => Test::IsNot(coerce(operand)),
        "between" => match &list(operand)?[..] {
            [from, to] => Test::Between(from.clone(), to.clone()),
            _ => return Err(invalid("Expected an array of two")),
        },
        "like" => Test::Like(pattern(operand, "")?),
        "nlike" => Test::NotLike(pattern(operand, "")?),
        "ilike" => Test::Like(pattern(operand, "i")?),
        "nilike" => Test::NotLike(pattern(operand, "i")?),
        "gt" => than(Comparison::Gt),
        "gte" => than(Comparison::Gte),
        "lt" => than(Comparison::Lt),
        "lte" => than(Comparison::Lte),
        _ => Test::Exists(coerced(Type::Flag, operand).as_ref().unwrap_or(operand) == &Value::Bool(true)),
    })
}

/// `pattern`, or `/pattern/flags`.
fn regexp(value: &Value) -> Result<Regex, String> {
    let Value::String(text) = value else { return Err("Expected a string or RegExp".to_owned()) };
    match text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) {
        Some((pattern, flags)) if flags.bytes().all(|flag| b"gimsuy".contains(&flag)) => {
            compiled(pattern, flags)
        }
        Some(_) | None => compiled(text, ""),
    }
}

fn compiled(pattern: &str, flags: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .dot_matches_new_line(flags.contains('s'))
        .size_limit(MAX_PATTERN)
        .dfa_size_limit(MAX_PATTERN)
        .build()
        .map_err(|_| "it is no regular expression that is understood here".to_owned())
}

impl Test {
    fn holds_at(&self, data: &Data, key: &str) -> bool {
        let value = value_at(data, key);
        if let Some(Value::Array(items)) = value {
            let none_is = matches!(self, Self::IsNot(_)) && items.is_empty();
            return none_is || items.iter().any(|item| self.holds(Some(item)));
        }
        if self.holds(value) {
            return true;
        }
        // `a.b` where `a` is a list of objects: one of them suffices.
        let Some((head, rest)) = key.split_once('.') else { return false };
        match data.get(head) {
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_object).any(|item| self.holds_at(item, rest))
            }
            _ => false,
        }
    }

    fn holds(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Is(expected) => loosely_equal(expected, value),
            Self::IsNot(other) => compare(Some(other), value) != Some(Ordering::Equal),
            Self::In(list) => list.iter().any(|item| loosely_equal(item, value)),
            Self::NotIn(list) => !list.iter().any(|item| loosely_equal(item, value)),
            Self::Between(from, to) => Comparison::Gte.holds(value, from) && Comparison::Lte.holds(value, to),
            Self::Than(comparison, operand) => comparison.holds(value, operand),
            Self::Like(regex) => regex.is_match(&text(value)),
            Self::NotLike(regex) => !regex.is_match(&text(value)),
            Self::Matches(regex) => value.and_then(Value::as_str).is_some_and(|text| regex.is_match(text)),
            Self::Exists(expected) => value.is_some() == *expected,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Comparison {
    fn holds(self, value: Option<&Value>, operand: &Value) -> bool {
        compare(value, Some(operand)).is_some_and(|ordering| match self {
            Self::Gt => ordering.is_gt(),
            Self::Gte => ordering.is_ge(),
            Self::Lt => ordering.is_lt(),
            Self::Lte => ordering.is_le(),
        })
    }
}

/// The value at a path with dots.
pub(crate) fn value_at<'d>(data: &'d Data, path: &str) -> Option<&'d Value> {
    let mut keys = path.split('.');
    let first = data.get(keys.next()?)?;
    keys.try_fold(first, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// A value as text, as JavaScript makes one of it for a pattern.
fn text(value: Option<&Value>) -> String {
    match value {
        None => "undefined".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(_)) => "[object Object]".to_owned(),
        Some(value) => value.to_string(),
    }
}

/// Whether a value counts as true.
pub(crate) fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// A number as JavaScript makes one of a scalar; `None` where it makes NaN.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        Value::String(text) if text.trim().is_empty() => Some(0.0),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// JavaScript's `==`: null is what is not there, numbers may be written as texts, no object is another.
fn loosely_equal(a: &Value, b: Option<&Value>) -> bool {
    match (a, b.unwrap_or(&Value::Null)) {
        (Value::Null, Value::Null) => true,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => false,
        (a, b) => number(a).zip(number(b)).is_some_and(|(a, b)| a == b),
    }
}

/// The connector's comparison; `None` where it makes NaN.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Option<Ordering> {
    match (a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null)) {
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => number(a)?.partial_cmp(&number(b)?),
    }
}

/// The order of two values that are there; what cannot be compared is equal.
pub(crate) fn total_order(a: &Value, b: &Value) -> Ordering {
    // A sort needs an order that is one: texts before what is none, and those among each other as numbers.
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::String(_), _) => Ordering::Less,
        (_, Value::String(_)) => Ordering::Greater,
        (a, b) => {
            let key = |value| number(value).unwrap_or(f64::INFINITY);
            key(a).total_cmp(&key(b))
        }
    }
}
