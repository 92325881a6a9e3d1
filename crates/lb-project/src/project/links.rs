//! Ids, and connections whose ends do not exist.

use std::collections::HashSet;

use lb_vocab::Finding;

use crate::cursor::Findings;
use crate::entities::{Connection, Project};
use crate::node::{Data, Node};

/// Every id of the project object, whatever has it. Pipelines of an object are under their id.
pub(crate) fn ids(node: &Node) -> HashSet<String> {
    let mut ids = HashSet::new();
    collect(node, &mut ids);
    ids
}

fn collect(node: &Node, ids: &mut HashSet<String>) {
    ids.extend(node.get("id").and_then(Node::as_text));
    if let Data::Map(entries) = &node.data {
        for entry in entries.iter().filter(|entry| entry.key.starts_with("pipelines")) {
            ids.extend(entry.value.fields().into_iter().map(|pipeline| pipeline.key.clone()));
        }
    }
    for child in node.children() {
        collect(child, ids);
    }
}

/// Warns of connections whose ends no longer exist. `elsewhere` has the ids of models, data sources and functions;
/// where these are not all known, only what a pipeline publishes is certain to be missing.
pub(crate) fn warn_of_dangling(
    project: &Project,
    ids: &HashSet<String>,
    elsewhere: Option<&HashSet<String>>,
    findings: &Findings,
) {
    let pipelines: HashSet<&str> = project
        .gateways
        .iter()
        .filter_map(|gateway| gateway.read())
        .flat_map(|gateway| gateway.pipelines.iter().map(|pipeline| pipeline.id.as_str()))
        .collect();
    for connection in &project.connections {
        let Connection { from_id, to_id, place } = connection;
        let certain = elsewhere.is_some() || from_id.as_deref().is_some_and(|from| pipelines.contains(from));
        let exists = |id: &String| ids.contains(id) || elsewhere.is_some_and(|others| others.contains(id));
        let ends = from_id.iter().map(|id| ("fromId", id)).chain([("toId", to_id)]);
        let missing = ends.into_iter().find(|(_, id)| !exists(id));
        if let Some((end, id)) = missing.filter(|_| certain) {
            let shown: String = id.chars().take(80).collect();
            let message = format!(
                "`{end}` is `{shown}`, which does not exist: remove the connection, or connect it anew"
            );
            findings.add(Finding::warning("DanglingConnection", place.clone(), message));
        }
    }
}
