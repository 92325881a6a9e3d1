//! LoopBack's own models: listed, and never changed. What they are stands in `builtin.json`.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::file::{Origin, of_model};
use super::record::{Data, Record};

/// The facet that they are listed under.
pub(crate) const FACET: &str = "common";

/// All of them and their parts. Every workspace has the same ones.
pub(crate) fn records() -> &'static [Arc<Record>] {
    static ALL: OnceLock<Vec<Arc<Record>>> = OnceLock::new();
    ALL.get_or_init(|| {
        // By the names of the files that they have in LoopBack.
        let definitions: Data = serde_json::from_str(include_str!("builtin.json")).unwrap_or_default();
        let read = |(file, config): (&String, &Value)| {
            let name = config.get("name").and_then(Value::as_str).unwrap_or_default();
            of_model(FACET, name, config, &Origin::LoopBack(file))
        };
        definitions.iter().flat_map(read).map(Arc::new).collect()
    })
}

/// One of them and its parts, or nothing.
pub(crate) fn model(name: &str) -> Vec<Arc<Record>> {
    let id = format!("{FACET}.{name}");
    let of_model = |record: &&Arc<Record>| *record.id == *id || record.text_of("modelId") == Some(&id);
    records().iter().filter(of_model).map(Arc::clone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::entity::Kind;

    #[test]
    fn the_file_is_read() {
        let models = records().iter().filter(|record| record.kind == Kind::ModelDefinition);
        assert_eq!(models.count(), 11);
        assert!(model("User").len() > 20 && model("Car").is_empty());
    }

    #[test]
    fn descriptions_are_left_out_and_properties_of_that_name_are_not() {
        for name in ["Application", "Role", "Scope"] {
            let id = format!("common.{name}.description");
            assert!(model(name).iter().any(|record| *record.id == *id), "{name}");
        }
        assert!(records().iter().all(|record| record.text_of("description").is_none()));
    }
}
