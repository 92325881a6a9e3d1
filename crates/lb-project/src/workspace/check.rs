//! What is checked before something is stored.

use serde_json::Value;

use super::Workspace;
use super::entity::{Check, Kind, Scope};
use super::failure::Problem;
use super::layout::{FACETS, MAX_NAME, is_word};
use super::record::Data;

/// Names that every object of JavaScript has: a model, a property or a data source of such a name breaks the app.
const RESERVED: [&str; 14] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "node_modules",
    "propertyIsEnumerable",
    "prototype",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// What is wrong with data that is to be stored under an id; `given` is the id that the request names.
pub(crate) fn problems(workspace: &Workspace, kind: Kind, data: &Data, given: Option<&str>) -> Vec<Problem> {
    let schema = kind.schema();
    let id = schema.id(data);
    let mut problems = Vec::new();
    for check in schema.checks {
        match check {
            Check::Present(property) => {
                if matches!(data.get(*property), None | Some(Value::Null)) || data[*property] == "" {
                    problems.push(Problem::new(property, "presence", "can't be blank", data));
                }
            }
            Check::Format(property) => problems.extend(format_problem(property, data)),
            Check::Unique(scope) => {
                let taken = workspace.records.of(kind).find(|record| {
                    let here =
                        *scope == Scope::Workspace || record.data.get("facetName") == data.get("facetName");
                    here && record.text_of("name").is_some() && record.data.get("name") == data.get("name")
                });
                let replaced = |of: &str| Some(of) == id.as_deref() && Some(of) == given;
                if taken.is_some_and(|taken| !replaced(&taken.id)) {
                    problems.push(Problem::new("name", "uniqueness", "is not unique", data));
                }
            }
        }
    }
    problems.extend(name_problem(kind, data));
    problems.extend(place_problem(workspace, kind, data));
    problems
}

fn format_problem(property: &'static str, data: &Data) -> Option<Problem> {
    let (code, message) = match data.get(property) {
        None => ("format.blank", "is blank"),
        Some(Value::Null) => ("format.null", "is null"),
        Some(Value::String(text)) if text.is_empty() => ("format.blank", "is blank"),
        Some(Value::String(text)) if is_word(text) => return None,
        Some(_) => ("format", "is invalid"),
    };
    Some(Problem::new(property, code, message, data))
}

/// A name that would be no key, no part of a file's name, or no name to JavaScript.
fn name_problem(kind: Kind, data: &Data) -> Option<Problem> {
    let name = match data.get("name")? {
        Value::String(name) => name,
        Value::Null => return None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let declared = kind.schema().checks.contains(&Check::Format("name"));
            return (!declared).then(|| Problem::new("name", "type", "is no text", data));
        }
    };
    if RESERVED.contains(&name.as_str()) {
        return Some(Problem::new("name", "reserved", "is a name that JavaScript has for itself", data));
    }
    if name.len() > MAX_NAME {
        return Some(Problem::new("name", "length", format!("is longer than {MAX_NAME} bytes"), data));
    }
    if name.chars().any(char::is_control) {
        return Some(Problem::new("name", "format", "has a control character", data));
    }
    if kind == Kind::ModelConfig && name.starts_with('_') {
        return Some(Problem::new("name", "reserved", "starts with `_`, which hides it", data));
    }
    None
}

/// A facet or a model that is not there.
fn place_problem(workspace: &Workspace, kind: Kind, data: &Data) -> Option<Problem> {
    let text = |key| data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if kind.is_part() {
        let model = text("modelId")?;
        let known = workspace.records.get(Kind::ModelDefinition, model).is_some();
        // Without a model there is no facet, and that is said already.
        return (!known && text("facetName").is_some())
            .then(|| Problem::new("modelId", "unknown", "names no model", data));
    }
    let facet = text("facetName").filter(|_| kind.schema().property("facetName").is_some())?;
    let known = FACETS.contains(&facet) || workspace.records.get(Kind::Facet, facet).is_some();
    (!known).then(|| Problem::new("facetName", "unknown", "names no facet of the project", data))
}
