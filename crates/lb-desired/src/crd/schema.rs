//! What the specs of all children have in common in their schemas.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// The producer that a child is of.
pub(super) fn producer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 37,
        "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        "x-kubernetes-validations": [never_changes("producer")],
    })
}

/// The environment that a child is in.
pub(super) fn environment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 10,
        "pattern": "^[a-z][a-z0-9]*$",
        "x-kubernetes-validations": [never_changes("environment")],
    })
}

/// The rule of a field that is part of the child's name.
pub(super) fn never_changes(field: &str) -> Value {
    json!({"rule": "self == oldSelf", "message": format!("the {field} never changes")})
}

/// The rule of a spec: producer and environment fit into the names of objects.
pub(super) fn names_fit() -> Value {
    json!({
        "rule": "size(self.producer) + size(self.environment) <= 38",
        "message": "producer and environment together have at most 38 characters",
    })
}
