//! `lunchbadger.json`: a project in JSON, as a string in JSON.

mod edit;
mod endpoint;
mod envelope;
mod gateway;
mod links;
mod records;
mod upsert;

use std::collections::HashSet;

use lb_vocab::{EntityKind, Finding, Limits, Place, Producer, Source, Tree, clean};

pub use edit::{EditError, ProjectFile};
pub(crate) use envelope::{Inside, PROJECT_FILE, open};
pub(crate) use links::{ids, warn_of_dangling};
pub use upsert::{Invalid, changes_switch, complete, invalid, nothing};

use crate::cursor::{Cursor, Findings, Held, Read};
use crate::entities::{Connection, Project};
use crate::source::{document, read_source};

/// The project, and every id that stands in it.
pub(crate) struct Reading {
    pub(crate) project: Project,
    pub(crate) ids: HashSet<String>,
}

/// Reads the project of a producer.
pub(crate) fn read(
    dev: &Source<Tree>,
    producer: &Producer,
    limits: &Limits,
    findings: &Findings,
) -> Source<Reading> {
    read_source(dev, findings, |tree| {
        let file = document(tree.get("lunchbadger.json"), PROJECT_FILE, limits.project_file_bytes, findings)?;
        let Some(file) = file else { return Ok(None) };
        let key = producer.to_string();
        let Some(Inside { document, node }) = open(&file, &key)? else { return Ok(None) };
        let root = Cursor::root(&document, &node, EntityKind::Project, &key);
        root.warn_of_repeated_keys();
        Ok(Some(Reading { project: project(&root, &key, limits)?, ids: ids(&node) }))
    })
}

fn project(root: &Cursor<'_>, key: &str, limits: &Limits) -> Read<Project> {
    root.object()?;
    if let Some(id) = root.get("id").filter(|id| id.node.as_text().as_deref() != Some(key)) {
        id.warn("ProjectId", format!("`id` is not the project's key, which counts: write `{key}`"));
    }
    let switch = root.get("disabled");
    let gateways = root.or_default("gateways", Cursor::items)?;
    let gateways = gateways.into_iter().map(|gateway| gateway.entity(EntityKind::Gateway)).collect();
    let endpoints = endpoint::read(root, limits)?;
    let mut gateways: Vec<_> = first(gateways, limits.gateways).iter().map(gateway::read).collect();
    // Two of the same id and instance name could not be told apart.
    keep_first(&mut gateways, root.findings(), |entity| {
        entity.read().map(|gateway| (format!("{} {}", clean(&gateway.name), gateway.id), &gateway.place))
    });
    Ok(Project {
        id: key.to_owned(),
        name: root.label("name"),
        disabled: switch.as_ref().map(Cursor::flag).transpose()?.unwrap_or_default(),
        place: switch.as_ref().unwrap_or(root).place(),
        gateways,
        service_endpoints: endpoints.service,
        api_endpoints: endpoints.api,
        connections: connections(root)?,
    })
}

/// The first of these entities; a finding on the first of those that are too many.
pub(crate) fn first(mut all: Vec<Cursor<'_>>, limit: usize) -> Vec<Cursor<'_>> {
    if let Some(beyond) = all.get(limit) {
        let message = format!(
            "there are {}, at most {limit} are deployed: this one and those behind it are not",
            all.len()
        );
        beyond.refuse("OverLimit", message);
        all.truncate(limit);
    }
    all
}

fn connections(root: &Cursor<'_>) -> Read<Vec<Connection>> {
    let items = root.or_default("connections", Cursor::items)?;
    Ok(items.iter().filter_map(|item| connection(item).ok()).collect())
}

fn connection(cursor: &Cursor<'_>) -> Read<Connection> {
    let ends = ["fromId", "toId"].map(|key| cursor.label(key).unwrap_or_else(|| "?".to_owned()));
    let name = cursor.label("id").unwrap_or_else(|| ends.join(" -> "));
    let cursor = cursor.clone().named(EntityKind::Connection, &name);
    cursor.object()?;
    let end = |key| {
        cursor.get(key).ok_or_else(|| {
            cursor.warn("OpenConnection", format!("it has no `{key}`, so it connects nothing: remove it"));
            Held
        })
    };
    let (from, to) = (end("fromId")?, end("toId")?);
    Ok(Connection { from_id: from.text().ok(), to_id: to.text()?, place: cursor.place() })
}

/// Where an entity has no id, its name stands for it: nothing else could refer to it. `None` where it has neither.
pub(crate) fn id_or_name(cursor: &Cursor<'_>) -> Read<Option<String>> {
    let id = cursor.optional("id", Cursor::id)?.filter(|id| !id.is_empty());
    let name = cursor.optional("name", Cursor::text)?.filter(|name| !name.is_empty());
    if id.is_none() && name.is_some() {
        cursor.warn("IdMissing", "it has no `id`, its name is taken for it: give it one");
        return cursor.optional("name", Cursor::id);
    }
    Ok(id)
}

/// Keeps the first of those with the same key, and warns of the others.
pub(crate) fn keep_first<T>(
    list: &mut Vec<T>,
    findings: &Findings,
    key: impl Fn(&T) -> Option<(String, &Place)>,
) {
    let mut seen = HashSet::new();
    list.retain(|item| {
        let Some((key, place)) = key(item) else { return true };
        let first = seen.insert(key);
        if !first {
            let message = "another one has the same `id`, this one is left out: give it its own";
            findings.add(Finding::warning("IdTwice", place.clone(), message));
        }
        first
    });
}
