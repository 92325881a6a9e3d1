//! The workspace's OpenAPI document: Swagger 2.0, or OpenAPI 3.

use indexmap::IndexMap;
use lb_vocab::{Blob, EntityKind, Source, Tree};

use crate::cursor::{Cursor, Findings, Read};
use crate::entities::{OpenApi, OpenApiPath};
use crate::node::{Data, Node};
use crate::source::{document, read_source};
use crate::{OPENAPI_BYTES, OPENAPI_FILE};

/// Paths of one document: each becomes a route of the auto gateway.
const MAX_PATHS: usize = 500;
/// How places call the document.
const FILE: &str = "dev/openapi.json";
/// Keys of a path that are operations; others are parameters, servers and extensions.
const OPERATIONS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// Keys of a schema under which one schema stands.
const SCHEMA: [&str; 3] = ["items", "additionalProperties", "not"];
/// Keys of a schema under which a list of schemas stands.
const SCHEMAS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Reads the document of a workspace.
pub(crate) fn read(openapi: &Source<Tree>, findings: &Findings) -> Source<OpenApi> {
    read_source(openapi, findings, |tree| {
        let Some(file) = document(tree.get(OPENAPI_FILE), FILE, OPENAPI_BYTES, findings)? else {
            return Ok(None);
        };
        let node = file.json(EntityKind::OpenApi, FILE)?;
        let root = Cursor::root(&file, &node, EntityKind::OpenApi, FILE);
        root.object()?;
        Ok(Some(OpenApi { paths: paths(&root)?, has_binary_property: has_binary_property(&node) }))
    })
}

/// Whether a text is a document that would be read, for whoever keeps one.
///
/// # Errors
/// What is wrong with it.
pub fn check_openapi(text: &[u8]) -> Result<(), String> {
    let mut tree = Tree::default();
    let blob = match u64::try_from(text.len()) {
        Ok(size) if size > OPENAPI_BYTES => Blob::TooLarge { size },
        _ => Blob::File(text.to_vec()),
    };
    if let Ok(path) = OPENAPI_FILE.parse() {
        tree.files.insert(path, blob);
    }
    let findings = Findings::default();
    // Which commit it is at does not matter to what it is.
    let Ok(commit) = "1".repeat(40).parse() else { return Ok(()) };
    match read(&Source::Known(tree, commit), &findings) {
        Source::Known(_, _) => Ok(()),
        Source::Absent(_) | Source::Unknown(_) => {
            let first = findings.sorted().into_iter().next().map(|finding| finding.to_string());
            Err(first.unwrap_or_else(|| "it is no OpenAPI document".to_owned()))
        }
    }
}

fn paths(root: &Cursor<'_>) -> Read<IndexMap<String, OpenApiPath>> {
    let fields = root.get("paths").map(|paths| paths.fields()).transpose()?.unwrap_or_default();
    let fields: Vec<_> = fields.into_iter().filter(|(path, _)| !path.starts_with("x-")).collect();
    if fields.len() > MAX_PATHS {
        let message =
            format!("it has {} paths, at most {MAX_PATHS} are read: make fewer models public", fields.len());
        return Err(root.refuse("TooManyPaths", message));
    }
    let mut paths = IndexMap::with_capacity(fields.len());
    for (path, cursor) in fields {
        if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
            cursor.warn("PathMalformed", "a path does not start with `/`, or has a blank: it is left out");
            continue;
        }
        if let Ok(tags) = tags(&cursor) {
            paths.insert(path.to_owned(), OpenApiPath { tags });
        }
    }
    Ok(paths)
}

/// Tags of all operations, each once.
fn tags(path: &Cursor<'_>) -> Read<Vec<String>> {
    path.object()?;
    let mut tags = Vec::new();
    for operation in OPERATIONS.iter().filter_map(|key| path.get(key)) {
        for tag in operation.or_default("tags", Cursor::texts)? {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    Ok(tags)
}

/// Whether a property of a definition is of type or format `byte` or `binary`. References are not followed: what they
/// name is a definition itself, so that circles are harmless.
fn has_binary_property(document: &Node) -> bool {
    let definitions =
        [document.get("definitions"), document.get("components").and_then(|c| c.get("schemas"))];
    definitions.into_iter().flatten().flat_map(Node::children).any(holds_binary)
}

fn holds_binary(schema: &Node) -> bool {
    let properties = schema.get("properties").map(Node::children).unwrap_or_default();
    let one = SCHEMA.iter().filter_map(|key| schema.get(key));
    let several = SCHEMAS.iter().filter_map(|key| schema.get(key)).flat_map(Node::children);
    properties.into_iter().any(|property| is_binary(property) || holds_binary(property))
        || one.chain(several).any(holds_binary)
}

/// A property of the kind itself, or a list of such values.
fn is_binary(property: &Node) -> bool {
    let names = |key| match property.get(key).map(|node| &node.data) {
        Some(Data::Text(text)) => text == "byte" || text == "binary",
        Some(Data::List(types)) => {
            types.iter().any(|node| matches!(node.as_text().as_deref(), Some("byte" | "binary")))
        }
        Some(Data::Null | Data::Flag(_) | Data::Number(_) | Data::Map(_)) | None => false,
    };
    names("type") || names("format") || property.get("items").is_some_and(is_binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_not_be_read_is_refused_with_the_reason() {
        assert_eq!(check_openapi(br#"{"swagger":"2.0","paths":{"/Cars":{"get":{"tags":["Car"]}}}}"#), Ok(()));
        let many: String = (0..=MAX_PATHS).map(|n| format!("\"/{n}\":{{}},")).collect();
        let many = format!("{{\"paths\":{{{}}}}}", many.trim_end_matches(','));
        let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
        for (bad, why) in [("[]", "object"), ("no", ""), (&many, "501 paths"), (&large, "")] {
            let error = check_openapi(bad.as_bytes()).unwrap_err();
            assert!(!error.is_empty() && error.contains(why), "{error}");
        }
    }
}
