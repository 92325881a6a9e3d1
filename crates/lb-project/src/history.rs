//! The value of one entity, to find the commit in which it last changed.

use lb_vocab::{EntityKind, Producer};

use crate::cursor::{Document, Findings};
use crate::json;
use crate::node::{Data, Node};
use crate::project::{PROJECT_FILE, open};
use crate::text::Text;
use crate::yaml;

/// The value of one entity as compact JSON, `None` where the text does not have it or cannot be read. Two commits
/// in which it is equal did not change the entity: blanks and escapes do not count, the order of keys does.
///
/// `text` is the file in which entities of this kind stand: `lunchbadger.json`, a model's definition,
/// `datasources.json`, `serverless.yml` or `openapi.json`. `id` is the entity's id, or its name; for
/// [`EntityKind::Project`] the answer is the value of `disabled`, for a file the whole of it, whatever the id.
#[must_use]
pub fn entity_value(text: &str, producer: &Producer, kind: EntityKind, id: &str) -> Option<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = match kind {
        EntityKind::File | EntityKind::OpenApi => json::parse(text).ok(),
        EntityKind::Model => json::parse(text).ok().filter(|node| {
            ["name", "lunchbadgerId"]
                .into_iter()
                .any(|key| node.get(key).and_then(Node::as_text).as_deref() == Some(id))
        }),
        EntityKind::DataSource => json::parse(text).ok().and_then(|node| node.get(id).cloned()),
        EntityKind::Function => yaml::parse(text).ok().filter(|node| {
            let ours = node.get("lunchbadger").and_then(|ours| ours.get("id")).and_then(Node::as_text);
            ours.as_deref() == Some(id)
                || node.get("functions").is_some_and(|functions| functions.get(id).is_some())
        }),
        EntityKind::Project => project(text, producer)?.get("disabled").cloned(),
        EntityKind::Gateway => find(&project(text, producer)?, &["gateways"], id),
        EntityKind::Pipeline | EntityKind::Policy => {
            find(&project(text, producer)?, &["pipelines", "pipelinesLunchbadger"], id)
        }
        EntityKind::ServiceEndpoint => find(&project(text, producer)?, &["serviceEndpoints"], id),
        EntityKind::ApiEndpoint => find(&project(text, producer)?, &["apiEndpoints"], id),
        EntityKind::Connection => connection(&project(text, producer)?, id),
        EntityKind::Api => find(&project(text, producer)?, &["apis", "portals"], id),
    };
    value.map(|node| node.to_value().to_string())
}

fn project(text: &str, producer: &Producer) -> Option<Node> {
    let findings = Findings::default();
    let text = Text::of_file(text.as_bytes()).ok()?;
    let file = Document { file: PROJECT_FILE.to_owned(), text, findings: &findings };
    open(&file, &producer.to_string()).ok().flatten().map(|inside| inside.node)
}

/// A connection without an id goes by its ends, as its place names it.
fn connection(project: &Node, id: &str) -> Option<Node> {
    let has_ends = |connection: &&&Node| {
        let end = |key| connection.get(key).and_then(Node::as_text).unwrap_or_else(|| "?".to_owned());
        id == format!("{} -> {}", end("fromId"), end("toId"))
    };
    let by_ends = || project.get("connections")?.children().iter().find(has_ends).map(|node| (*node).clone());
    find(project, &["connections"], id).or_else(by_ends)
}

/// The first entity of one of these lists, here or below, with this id; without any, the first with this name.
fn find(project: &Node, lists: &[&str], id: &str) -> Option<Node> {
    let mut entities = Vec::new();
    collect(project, lists, &mut entities);
    let has = |entity: &&(Option<&str>, &Node), key: &str| {
        entity.1.get(key).and_then(Node::as_text).as_deref() == Some(id)
    };
    let found = entities.iter().find(|entity| entity.0 == Some(id) || has(entity, "id"));
    found.or_else(|| entities.iter().find(|entity| has(entity, "name"))).map(|(_, node)| (*node).clone())
}

fn collect<'n>(node: &'n Node, lists: &[&str], entities: &mut Vec<(Option<&'n str>, &'n Node)>) {
    for entry in node.fields() {
        if lists.contains(&entry.key.as_str()) {
            let keyed =
                entry.value.fields().into_iter().map(|entry| (Some(entry.key.as_str()), &entry.value));
            let listed = match &entry.value.data {
                Data::List(items) => items.as_slice(),
                Data::Null | Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::Map(_) => &[],
            };
            entities.extend(keyed.chain(listed.iter().map(|item| (None, item))));
        }
    }
    for child in node.children() {
        collect(child, lists, entities);
    }
}
