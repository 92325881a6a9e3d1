//! From a method and a path to what is asked for: one set of conventions for every kind.

use serde_json::{Value, json};

use super::entity::{Kind, Link, Relation, Schema};
use super::failure::Failure;
use super::request::{Method, Request, segments};

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Route {
    Read(Read),
    Write(Write),
    /// The same answer for every project.
    Fixed(Value),
    Connectors,
}

/// Entities that a read is about.
#[derive(Debug)]
pub(crate) enum Source {
    All(Kind),
    Related(Parent),
}

/// A relation of one entity.
#[derive(Debug)]
pub(crate) struct Parent {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    pub(crate) relation: &'static Relation,
}

#[derive(Debug)]
pub(crate) enum Read {
    List(Source),
    Count(Source),
    First(Kind),
    Get(Kind, String),
    Exists(Kind, String),
    /// Answers without a body.
    Head(Kind, String),
    Member(Parent, String),
}

#[derive(Debug)]
pub(crate) enum Write {
    Create(Kind),
    MergeOrCreate(Kind),
    ReplaceOrCreate(Kind),
    MergeWhereOrCreate(Kind),
    MergeWhere(Kind),
    Merge(Kind, String),
    Replace(Kind, String),
    Remove(Kind, String),
    CreateIn(Parent),
    RemoveAllOf(Parent),
    MergeMember(Parent, String),
    RemoveMember(Parent, String),
}

/// What a data source does by running its connector.
const OF_CONNECTORS: [&str; 6] =
    ["automigrate", "autoupdate", "createmodel", "discovermodeldefinition", "getschema", "testconnection"];
/// What a workspace does with the app's process or from templates.
const OF_PROCESSES: [&str; 7] =
    ["component", "get-workspace", "is-running", "load-workspace", "restart", "start", "stop"];
/// Types of properties that LoopBack knows.
const TYPES: [&str; 9] =
    ["string", "number", "boolean", "object", "array", "date", "buffer", "geopoint", "any"];

/// The route of a request.
pub(crate) fn of(request: &Request<'_>) -> Result<Route, Failure> {
    let segments = segments(request.path);
    let method = request.method;
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let none =
        || Failure::NoRoute { method: method.as_str(), path: format!("/{}{query}", segments.join("/")) };
    let (first, rest) = segments.split_first().ok_or_else(none)?;
    let kind = match Schema::of_plural(first) {
        Some(schema) => schema.kind,
        None if first.eq_ignore_ascii_case("Workspaces") => return workspaces(method, rest),
        None => return Err(none()),
    };
    let missing = || no_method(kind.schema().name, method, rest);
    let words: Vec<String> = rest.iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let Some(fixed) = fixed(kind, method, &words) {
        return fixed;
    }
    let id = || rest.first().cloned().unwrap_or_default();
    let read = match (method, &words[..]) {
        (Method::Get | Method::Head, []) => Read::List(Source::All(kind)),
        (Method::Get | Method::Head, ["findone"]) => Read::First(kind),
        (Method::Get | Method::Head, ["count"]) => Read::Count(Source::All(kind)),
        (Method::Get, [_]) => Read::Get(kind, id()),
        (Method::Head, [_]) => Read::Head(kind, id()),
        (Method::Get | Method::Head, [_, "exists"]) => Read::Exists(kind, id()),
        (Method::Get | Method::Head, [_, relation, rest @ ..]) if rest.len() < 2 => {
            let parent = parent(kind, id(), relation).ok_or_else(missing)?;
            match (rest, parent.relation.link) {
                ([], _) => Read::List(Source::Related(parent)),
                (["count"], Link::Many(_)) => Read::Count(Source::Related(parent)),
                (_, Link::Many(_)) => Read::Member(parent, segments.last().cloned().unwrap_or_default()),
                (_, Link::One(_)) => return Err(missing()),
            }
        }
        _ => return write(kind, method, rest, &words).map(Route::Write),
    };
    Ok(Route::Read(read))
}

fn no_method(kind: &'static str, method: Method, rest: &[String]) -> Failure {
    Failure::NoMethod { kind, method: method.as_str(), path: format!("/{}", rest.join("/")) }
}

fn parent(kind: Kind, id: String, relation: &str) -> Option<Parent> {
    let relation = kind.schema().relations.iter().find(|known| known.name.eq_ignore_ascii_case(relation))?;
    Some(Parent { kind, id, relation })
}

fn write(kind: Kind, method: Method, rest: &[String], words: &[&str]) -> Result<Write, Failure> {
    let missing = || no_method(kind.schema().name, method, rest);
    let id = || rest.first().cloned().unwrap_or_default();
    let many = |relation: &str| {
        let parent = parent(kind, id(), relation).ok_or_else(missing)?;
        matches!(parent.relation.link, Link::Many(_)).then_some(parent).ok_or_else(missing)
    };
    let member = || rest.last().cloned().unwrap_or_default();
    Ok(match (method, words) {
        (Method::Post, []) => Write::Create(kind),
        (Method::Post, ["replaceorcreate"]) => Write::ReplaceOrCreate(kind),
        (Method::Post, ["upsertwithwhere"]) => Write::MergeWhereOrCreate(kind),
        (Method::Post, ["update"]) => Write::MergeWhere(kind),
        (Method::Post, [_, "replace"]) => Write::Replace(kind, id()),
        (Method::Post, [_, relation]) => Write::CreateIn(many(relation)?),
        (Method::Put | Method::Patch, []) => Write::MergeOrCreate(kind),
        (Method::Put | Method::Patch, [_]) => Write::Merge(kind, id()),
        (Method::Put, [_, relation, _]) => Write::MergeMember(many(relation)?, member()),
        (Method::Delete, [_]) => Write::Remove(kind, id()),
        (Method::Delete, [_, relation]) => Write::RemoveAllOf(many(relation)?),
        (Method::Delete, [_, relation, _]) => Write::RemoveMember(many(relation)?, member()),
        _ => return Err(missing()),
    })
}

/// Routes of single kinds.
fn fixed(kind: Kind, method: Method, words: &[&str]) -> Option<Result<Route, Failure>> {
    let not_offered =
        |what: &str| Some(Err(Failure::NotOffered { what: format!("{} {what}", kind.schema().name) }));
    match (kind, method, words) {
        (Kind::ModelProperty, Method::Get, ["available-types"]) => Some(Ok(Route::Fixed(json!(TYPES)))),
        (_, Method::Get | Method::Post, ["change-stream"]) => not_offered("change-stream"),
        (Kind::DataSourceDefinition, Method::Get | Method::Post, [_, what] | [what])
            if OF_CONNECTORS.contains(what) =>
        {
            not_offered(what)
        }
        _ => None,
    }
}

fn workspaces(method: Method, rest: &[String]) -> Result<Route, Failure> {
    let words: Vec<String> = rest.iter().map(|word| word.to_ascii_lowercase()).collect();
    match (method, words.first().map(String::as_str), words.len()) {
        (Method::Get | Method::Head, Some("connectors"), 1) => Ok(Route::Connectors),
        (Method::Get | Method::Head, Some("loopback-versions"), 1) => {
            let version = json!({ "value": "3.x", "description": "LoopBack 3" });
            Ok(Route::Fixed(json!({ "versions": [version] })))
        }
        (Method::Get | Method::Head, Some("component-templates"), 1) => {
            Ok(Route::Fixed(json!({ "templates": [] })))
        }
        (Method::Post, None, _) => Err(Failure::NotOffered { what: "Workspace from a template".to_owned() }),
        (Method::Get | Method::Post, Some(what), 1) if OF_PROCESSES.contains(&what) => {
            Err(Failure::NotOffered { what: format!("Workspace {what}") })
        }
        _ => Err(no_method("Workspace", method, rest)),
    }
}
