//! Requests as they come, and answers as they go.

use lb_vocab::SafePath;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::connector::PackageChange;
use super::failure::Failure;
use super::record::like_javascript;

/// Arguments of one query.
const MAX_ARGUMENTS: usize = 1000;
/// Brackets behind one argument's name.
const MAX_BRACKETS: usize = 16;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Reads, and answers without a body.
    Head,
    /// Creates, replaces where the body has an `id`.
    Post,
    /// Merges, as version 4 of the package had it.
    Put,
    /// Merges.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The method of a request is none of those that the workspace knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workspace knows no such method: use GET, HEAD, POST, PUT, PATCH or DELETE")]
pub struct UnknownMethod;

impl std::str::FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.as_str() == text)
            .ok_or(UnknownMethod)
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is done.
    pub method: Method,
    /// To what, percent-encoded: `/api/...`, with or without the public prefix `/workspace-api`, or behind both.
    pub path: &'a str,
    /// What stands behind `?`, still encoded; may be empty.
    pub query: &'a str,
    /// JSON; may be empty.
    pub body: &'a [u8],
}

/// One answer, and what has to be saved for it to be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON (`application/json`), empty with status 204 and for `HEAD`.
    pub body: Vec<u8>,
    /// Files to write, or to remove (`None`), in one save. None of them for a read or a refusal.
    pub changes: Vec<(SafePath, Option<Vec<u8>>)>,
    /// What is changed, for the message of the commit. Empty where nothing is.
    pub what: String,
    /// Packages that the app needs now, or needs no longer; `changes` has `package.json` to match where it can be read.
    pub packages: Vec<PackageChange>,
}

impl Answer {
    pub(crate) fn read(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, changes: Vec::new(), what: String::new(), packages: Vec::new() }
    }

    pub(crate) fn refusal(failure: &Failure) -> Self {
        let body = serde_json::json!({ "error": failure.error() });
        Self::read(failure.status(), body.to_string().into_bytes())
    }
}

/// The segments of a path, decoded, without the prefixes and without empty ones.
pub(crate) fn segments(path: &str) -> Vec<String> {
    let mut segments: Vec<String> =
        path.split('/').filter(|segment| !segment.is_empty()).map(decoded).collect();
    for prefix in ["workspace-api", "api"] {
        if segments.first().is_some_and(|first| first.eq_ignore_ascii_case(prefix)) {
            segments.remove(0);
        }
    }
    segments
}

/// A segment of a path without percent-encoding. What is no UTF-8 is replaced, so that it names nothing.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The arguments of a query, with brackets made into objects and lists: `a[b]=1`, `a[]=1`, `a[0]=1`, `a=1&a=2`.
pub(crate) fn arguments(query: &str) -> Result<Map<String, Value>, Failure> {
    let mut root = Value::Object(Map::new());
    for (at, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
        if at >= MAX_ARGUMENTS {
            return Err(Failure::bad(format!("The query has more than {MAX_ARGUMENTS} arguments")));
        }
        let (name, brackets) = name.split_once('[').map_or((&*name, ""), |(name, rest)| (name, rest));
        let keys: Vec<&str> = match brackets.strip_suffix(']') {
            Some(inner) => inner.split("][").collect(),
            None => Vec::new(),
        };
        if keys.len() > MAX_BRACKETS {
            return Err(Failure::bad(format!("The argument {name} has more than {MAX_BRACKETS} brackets")));
        }
        insert(&mut root, &[&[name], &keys[..]].concat(), Value::from(&*value));
    }
    make_lists(&mut root);
    match root {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(Map::new())
        }
    }
}

/// Puts a value below these keys. A list is an object with numbers as keys until [`make_lists`].
fn insert(place: &mut Value, keys: &[&str], value: Value) {
    let Some((key, rest)) = keys.split_first() else {
        match place {
            Value::Null => *place = value,
            Value::Object(map) => drop(map.insert(map.len().to_string(), value)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                let first = place.take();
                *place =
                    Value::Object([("0".to_owned(), first), ("1".to_owned(), value)].into_iter().collect());
            }
        }
        return;
    };
    if !place.is_object() {
        let first = place.take();
        *place = Value::Object(Map::new());
        if let (false, Value::Object(map)) = (first.is_null(), &mut *place) {
            map.insert("0".to_owned(), first);
        }
    }
    if let Value::Object(map) = place {
        let key = if key.is_empty() { map.len().to_string() } else { (*key).to_owned() };
        insert(map.entry(key).or_insert(Value::Null), rest, value);
    }
}

/// Makes lists of objects whose keys are 0, 1, 2 and so on; the topmost stays an object.
fn make_lists(root: &mut Value) {
    let Value::Object(map) = root else { return };
    for value in map.values_mut() {
        make_lists(value);
        if let Value::Object(inner) = value
            && !inner.is_empty()
            && inner.keys().enumerate().all(|(at, key)| *key == at.to_string())
        {
            *value = std::mem::take(inner).into_iter().map(|(_, value)| value).collect();
        }
    }
}

/// What a body says; nothing is an object without keys, as LoopBack has it.
pub(crate) fn body(bytes: &[u8]) -> Result<Value, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::bad("The body is not UTF-8"))?;
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let node = crate::json::parse(text)
        .map_err(|error| Failure::bad(format!("The body is not JSON: {}", error.problem)))?;
    let mut value = node.to_value();
    like_javascript(&mut value);
    Ok(value)
}

/// The body as one entity's data.
pub(crate) fn object_body(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    match body(bytes)? {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::bad("Value is not an object."))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn queries_are_read_as_express_reads_them() {
        for (query, expected) in [
            ("", json!({})),
            ("a=1&a=2&a=3", json!({ "a": ["1", "2", "3"] })),
            ("a[]=1&a[]=2", json!({ "a": ["1", "2"] })),
            ("a[1]=1", json!({ "a": { "1": "1" } })),
            ("a[0]=1&a[1][b]=2", json!({ "a": ["1", { "b": "2" }] })),
            (
                "filter[where][x][inq][]=a%20b&filter[limit]=2",
                json!({ "filter": { "where": { "x": { "inq": ["a b"] } }, "limit": "2" } }),
            ),
            ("filter[include]=a&filter[include]=b", json!({ "filter": { "include": ["a", "b"] } })),
            ("a[b=1", json!({ "a": "1" })),
            ("a=1&a[b]=2", json!({ "a": { "0": "1", "b": "2" } })),
            ("__proto__[x]=1", json!({ "__proto__": { "x": "1" } })),
        ] {
            assert_eq!(Value::Object(arguments(query).unwrap()), expected, "{query}");
        }
        assert!(arguments(&"a=1&".repeat(1001)).is_err());
        assert!(arguments(&format!("a{}=1", "[b]".repeat(17))).is_err());
    }

    #[test]
    fn prefixes_are_left_out_and_segments_decoded() {
        for path in
            ["/api/Facets/a%2Fb", "/workspace-api/api/Facets/a%2Fb/", "//API/Facets/a%2fb", "/Facets/a%2Fb"]
        {
            assert_eq!(segments(path), ["Facets", "a/b"], "{path}");
        }
        assert_eq!(segments("/api/%zz%4"), ["%zz%4"]);
        assert_eq!(segments("/api/%ff"), ["\u{fffd}"]);
    }
}
