//! Gateways and their pipelines.
//!
//! A gateway is deployed as it was written, or not at all: a policy that cannot be understood may be the one that
//! guards a route, so the whole gateway is held. What is merely missing (`policies`, `pipelines`, `action`,
//! `condition`) is what real files lack, and means none.

use lb_vocab::{EntityKind, InstanceName};

use super::{id_or_name, keep_first};
use crate::cursor::{Cursor, Read};
use crate::entities::{Entity, Gateway, Pair, Pipeline, Policy};
use crate::node::Data;

/// Reads one gateway.
pub(crate) fn read(cursor: &Cursor<'_>) -> Entity<Gateway> {
    cursor.read(gateway)
}

fn gateway(cursor: &Cursor<'_>) -> Read<Gateway> {
    cursor.object()?;
    let id = cursor.or_default("id", Cursor::id)?;
    let name = cursor.or_default("name", Cursor::text)?;
    if name.is_empty() && InstanceName::wanted(&name, &id).is_some() {
        cursor.warn("NameMissing", "it has no `name`, its host is made from its `id`: give it one");
    } else if id.is_empty() && !name.is_empty() {
        cursor.warn("IdMissing", "it has no `id`: give it one");
    }
    Ok(Gateway {
        id,
        name,
        pipelines: pipelines(cursor)?,
        policies: cursor.or_default("policies", Cursor::texts)?,
        system: cursor.or_default("system", Cursor::map)?,
        https: cursor.get("https").map(|https| https.value()),
        place: cursor.place(),
    })
}

/// Pipelines in file order. `pipelinesLunchbadger` holds those of a gateway that has not run yet.
fn pipelines(gateway: &Cursor<'_>) -> Read<Vec<Pipeline>> {
    let mut pipelines = Vec::new();
    for key in ["pipelines", "pipelinesLunchbadger"] {
        if pipelines.is_empty() {
            pipelines = gateway.or_default(key, pipeline_list)?;
        }
    }
    Ok(pipelines)
}

fn pipeline_list(list: &Cursor<'_>) -> Read<Vec<Pipeline>> {
    let mut pipelines = Vec::new();
    if matches!(list.node.data, Data::Map(_)) {
        for (key, cursor) in list.fields()? {
            let name = cursor.label("name").unwrap_or_else(|| key.to_owned());
            pipelines.push(pipeline(&cursor.named(EntityKind::Pipeline, &name), key.to_owned())?);
        }
    } else {
        for cursor in list.items()? {
            let cursor = cursor.entity(EntityKind::Pipeline);
            cursor.object()?;
            match id_or_name(&cursor)? {
                Some(id) => pipelines.push(pipeline(&cursor, id)?),
                None => cursor.warn(
                    "IdMissing",
                    "it has neither `id` nor `name`, so nothing leads to it: it is left out",
                ),
            }
        }
    }
    keep_first(&mut pipelines, list.findings(), |pipeline| Some((pipeline.id.clone(), &pipeline.place)));
    Ok(pipelines)
}

fn pipeline(cursor: &Cursor<'_>, id: String) -> Read<Pipeline> {
    cursor.object()?;
    let mut policies = Vec::new();
    for item in cursor.or_default("policies", Cursor::items)? {
        policies.extend(policies_of(&item)?);
    }
    let name =
        cursor.optional("name", Cursor::text)?.filter(|name| !name.is_empty()).unwrap_or_else(|| id.clone());
    Ok(Pipeline { id, name, policies, place: cursor.place() })
}

/// The policies of one object: usually one, beside an `id`.
fn policies_of(item: &Cursor<'_>) -> Read<Vec<Policy>> {
    let mut policies = Vec::new();
    for (name, value) in item.fields()?.into_iter().filter(|(name, _)| *name != "id") {
        let value = value.named(EntityKind::Policy, name);
        policies.push(Policy { name: name.to_owned(), pairs: pairs(&value)?, place: value.place() });
    }
    match policies.len() {
        0 => item.warn("PolicyMissing", "an entry of `policies` names no policy: remove it"),
        1 => {}
        _ => item.warn(
            "PoliciesTogether",
            "one entry of `policies` names several policies: give each its own entry",
        ),
    }
    Ok(policies)
}

fn pairs(policy: &Cursor<'_>) -> Read<Vec<Pair>> {
    match policy.node.data {
        Data::Null => Ok(Vec::new()),
        Data::Map(_) => Ok(vec![pair(policy)?]),
        Data::Flag(_) | Data::Number(_) | Data::Text(_) | Data::List(_) => {
            policy.items()?.iter().map(pair).collect()
        }
    }
}

fn pair(cursor: &Cursor<'_>) -> Read<Pair> {
    cursor.object()?;
    Ok(Pair {
        condition: cursor.optional("condition", Cursor::map)?.filter(|condition| !condition.is_empty()),
        action: cursor.optional("action", Cursor::map)?,
    })
}
