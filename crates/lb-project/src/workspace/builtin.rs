//! LoopBack's own models: listed, and never changed. What they are stands in `builtin.json`.

use std::sync::OnceLock;

use serde_json::Value;

use super::file::{Origin, of_model};
use super::record::{Data, Record};

/// The facet that they are listed under.
pub(crate) const FACET: &str = "common";

/// Their definitions by the names of the files that they have in LoopBack.
fn definitions() -> &'static Data {
    static ALL: OnceLock<Data> = OnceLock::new();
    ALL.get_or_init(|| match serde_json::from_str(include_str!("builtin.json")) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Data::new(),
    })
}

fn read(file: &str, config: &Value) -> Vec<Record> {
    let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
    of_model(FACET, name, config, &Origin::LoopBack(file))
}

/// All of them and their parts.
pub(crate) fn records() -> Vec<Record> {
    definitions().iter().flat_map(|(file, config)| read(file, config)).collect()
}

/// One of them and its parts, or nothing.
pub(crate) fn model(name: &str) -> Vec<Record> {
    let found = definitions().iter().find(|(_, config)| config.get("name").and_then(Value::as_str) == Some(name));
    found.map(|(file, config)| read(file, config)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read() {
        assert_eq!(definitions().len(), 11);
        assert!(model("User").len() > 20 && model("Car").is_empty());
    }
}
