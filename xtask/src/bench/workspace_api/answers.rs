//! Whether both answer the same.

use anyhow::{Context, Result};
use serde_json::Value;

use super::connection::Connection;
use super::load::Side;
use super::project;
use crate::say::say;

/// Changes every model at both in the same way, and counts the answers that differ, to these changes and of all that can be read.
pub(super) async fn differing(ours: &Side, theirs: &Side, round: usize) -> Result<usize> {
    let (one, other) = tokio::try_join!(all(ours, round), all(theirs, round))?;
    let mut count = 0;
    for ((what, ours), (_, theirs)) in one.iter().zip(&other) {
        if ours != theirs {
            count += 1;
            say(&format!("{what} differs:\n  ours:     {ours}\n  theirs:   {theirs}"));
        }
    }
    Ok(count + one.len().abs_diff(other.len()))
}

/// Answers by what was asked, those with many entities taken apart.
async fn all(side: &Side, round: usize) -> Result<Vec<(String, Value)>> {
    let (mut connection, mut answers) = (side.connect().await?, Vec::new());
    for index in 0..side.models {
        let request = side.save(index, &format!("Round{round}"));
        answers.push((format!("the change of model {index}"), json(connection.ask(&request).await?)?));
    }
    for index in 0..side.models {
        let path = project::one(index);
        answers.push((format!("GET {path}"), read(&mut connection, side, &path).await?));
    }
    let entities = read(&mut connection, side, project::EVERYTHING).await?;
    let entities = entities.as_array().context("a list of models is none")?;
    answers.extend(entities.iter().map(|entity| {
        let what = format!("{} with includes", entity["id"]);
        (what, alike(entity.clone()))
    }));
    Ok(answers)
}

async fn read(connection: &mut Connection, side: &Side, path: &str) -> Result<Value> {
    json(connection.ask(&side.read(path)).await?)
}

fn json(body: &[u8]) -> Result<Value> {
    serde_json::from_slice(body).with_context(|| format!("read {}", String::from_utf8_lossy(body)))
}

/// An entity without what may differ: the sentences with which LoopBack describes its own models, which ours leave out.
fn alike(mut entity: Value) -> Value {
    if entity["readonly"] == true {
        undescribed(&mut entity);
    }
    entity
}

fn undescribed(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| key != "description" || value.is_object());
            map.values_mut().for_each(undescribed);
        }
        Value::Array(list) => list.iter_mut().for_each(undescribed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sentences_are_left_out_of_loopbacks_own_models_alone() {
        let entity = |readonly: bool| json!({"readonly": readonly, "parts": [{"description": ["a"], "name": "description"}]});
        assert_eq!(alike(entity(true)), json!({"readonly": true, "parts": [{"name": "description"}]}));
        assert_eq!(alike(entity(false)), entity(false));
    }
}
