//! LoopBack's filters: where, order, fields, limit, skip (offset) and include.

use std::cmp::Ordering;

use serde_json::Value;

use super::condition::{self, Condition};
use super::entity::{Kind, Relation, Schema};
use super::failure::Failure;
use super::record::{Data, Record};

/// How deeply relations are followed: facet, models, properties, and one more.
const MAX_INCLUDE: usize = 4;
/// Relations that are followed at one level.
const MAX_RELATIONS: usize = 16;

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) condition: Option<Condition>,
    order: Vec<Order>,
    pub(crate) fields: Option<Fields>,
    limit: Option<usize>,
    skip: usize,
    pub(crate) include: Vec<Include>,
}

#[derive(Debug)]
struct Order {
    key: String,
    descending: bool,
}

/// Which properties are answered.
#[derive(Debug)]
pub(crate) enum Fields {
    /// These.
    Only(Vec<String>),
    /// All declared ones but these, as LoopBack has it.
    But(Vec<String>),
}

/// A relation to follow.
#[derive(Debug)]
pub(crate) struct Include {
    pub(crate) relation: &'static Relation,
    pub(crate) filter: Filter,
}

impl Filter {
    /// The filter of a request: an object as text, or as the query's own brackets made it.
    pub(crate) fn of_query(value: Option<&Value>, kind: Kind) -> Result<Self, Failure> {
        match object(value)? {
            Some(value) => Self::read(&value, kind.schema(), 0),
            None => Ok(Self::default()),
        }
    }

    fn read(value: &Value, schema: &'static Schema, depth: usize) -> Result<Self, Failure> {
        let get = |key: &str| value.get(key).filter(|value| !value.is_null());
        let skip = match (get("skip"), get("offset")) {
            (Some(skip), _) | (None, Some(skip)) => count(skip, "offset/skip")?,
            (None, None) => 0,
        };
        Ok(Self {
            condition: get("where").map(|value| Condition::read(value, schema)).transpose()?,
            order: get("order").map_or(Ok(Vec::new()), orders)?,
            fields: get("fields").and_then(fields),
            limit: get("limit").map(|value| count(value, "limit")).transpose()?.filter(|limit| *limit > 0),
            skip,
            include: get("include").map_or(Ok(Vec::new()), |value| includes(value, schema, depth))?,
        })
    }

    /// The entities that are asked for, in the order that is asked for, where they come in the order of their ids.
    pub(crate) fn select<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Vec<&'r Record> {
        let matching =
            records.filter(|record| self.condition.as_ref().is_none_or(|test| test.holds(&record.data)));
        let limit = self.limit.unwrap_or(usize::MAX);
        if self.order.is_empty() {
            return matching.skip(self.skip).take(limit).collect();
        }
        let mut records: Vec<_> = matching.collect();
        records.sort_by(|a, b| self.compare(&a.data, &b.data));
        records.into_iter().skip(self.skip).take(limit).collect()
    }

    /// The first of them.
    pub(crate) fn first<'r>(&self, records: impl Iterator<Item = &'r Record>) -> Option<&'r Record> {
        self.select(records).into_iter().next()
    }

    fn compare(&self, a: &Data, b: &Data) -> Ordering {
        let compared = self.order.iter().map(|order| {
            let ordering = match (condition::value_at(a, &order.key), condition::value_at(b, &order.key)) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (Some(a), Some(b)) => condition::total_order(a, b),
            };
            if order.descending { ordering.reverse() } else { ordering }
        });
        compared.into_iter().find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    }
}

impl Fields {
    /// Whether a property is answered.
    pub(crate) fn has(&self, key: &str, schema: &Schema) -> bool {
        match self {
            Self::Only(keys) => keys.iter().any(|only| only == key),
            Self::But(keys) => schema.property(key).is_some() && keys.iter().all(|but| but != key),
        }
    }
}

/// The object that an argument is, `None` where it is not given.
pub(crate) fn object(value: Option<&Value>) -> Result<Option<Value>, Failure> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => match crate::json::parse(text).map(|node| node.to_value()) {
            Ok(value) if value.is_object() => Ok(Some(value)),
            Ok(_) | Err(_) => Err(Failure::bad("Value is not an object.")),
        },
        Some(value @ Value::Object(_)) => Ok(Some(value.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Err(Failure::bad("Value is not an object."))
        }
    }
}

fn count(value: &Value, what: &str) -> Result<usize, Failure> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let bad = || Failure::bad(format!("The {what} parameter {value} is not valid"));
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(bad)
}

fn orders(value: &Value) -> Result<Vec<Order>, Failure> {
    let bad = || Failure::bad(format!("The order {value} is not valid"));
    let texts: Vec<&str> = match value {
        Value::String(text) => text.split(',').collect(),
        Value::Array(items) => items.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or_else(bad)?,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return Err(bad()),
    };
    texts
        .into_iter()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| {
            let (key, direction) = text.rsplit_once(char::is_whitespace).unwrap_or((text, "ASC"));
            let descending = match direction.to_ascii_uppercase().as_str() {
                "ASC" => false,
                "DESC" => true,
                _ => {
                    return Err(Failure::bad(format!(
                        "The order {} has invalid direction",
                        Value::from(text)
                    )));
                }
            };
            Ok(Order { key: key.trim().to_owned(), descending })
        })
        .collect()
}

fn fields(value: &Value) -> Option<Fields> {
    let texts = |items: &[Value]| items.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    match value {
        Value::String(text) => Some(Fields::Only(vec![text.clone()])),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(Fields::Only(texts(items))),
        Value::Object(map) => {
            let (only, but): (Vec<_>, Vec<_>) =
                map.iter().partition(|(_, value)| condition::is_truthy(value));
            let keys = |list: Vec<(&String, &Value)>| list.into_iter().map(|(key, _)| key.clone()).collect();
            match (only.is_empty(), but.is_empty()) {
                (true, true) => None,
                (false, _) => Some(Fields::Only(keys(only))),
                (true, false) => Some(Fields::But(keys(but))),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn includes(value: &Value, schema: &'static Schema, depth: usize) -> Result<Vec<Include>, Failure> {
    if depth >= MAX_INCLUDE {
        return Err(Failure::bad(format!("Relations are included at most {MAX_INCLUDE} levels deep")));
    }
    let mut list = Vec::new();
    match value {
        Value::String(name) => list.push(include(name, None, schema, depth)?),
        Value::Array(items) => {
            for item in items.iter().take(MAX_RELATIONS) {
                list.extend(includes(item, schema, depth)?);
            }
        }
        Value::Object(map) => match map.get("relation").or_else(|| map.get("rel")) {
            Some(Value::String(name)) => {
                let scope = map.get("scope").filter(|scope| scope.is_object());
                list.push(include(name, scope, schema, depth)?);
            }
            Some(_) | None => {
                for (name, inner) in map.iter().take(MAX_RELATIONS) {
                    let mut include = include(name, None, schema, depth)?;
                    include.filter.include = includes(inner, include.relation.target.schema(), depth + 1)?;
                    list.push(include);
                }
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    // A relation that is named twice is answered once.
    let mut unique: Vec<Include> = Vec::new();
    for include in list {
        if unique.iter().all(|known| known.relation.name != include.relation.name) {
            unique.push(include);
        }
    }
    Ok(unique)
}

fn include(
    name: &str,
    scope: Option<&Value>,
    schema: &'static Schema,
    depth: usize,
) -> Result<Include, Failure> {
    let missing = || Failure::bad(format!("Relation \"{name}\" is not defined for {} model", schema.name));
    let relation = schema.relation(name).ok_or_else(missing)?;
    let target = relation.target.schema();
    let filter =
        scope.map_or_else(|| Ok(Filter::default()), |scope| Filter::read(scope, target, depth + 1))?;
    Ok(Include { relation, filter })
}
