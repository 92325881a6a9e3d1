//! The project that both serve, and what is asked about it.

use lb_testkit::producer::Files;
use lb_testkit::project::file;
use serde_json::{Value, json};

/// Properties of each model.
const PROPERTIES: usize = 5;

/// All models with what belongs to them: `include` of properties, relations and methods, as a user interface asks.
pub(super) const EVERYTHING: &str = "/api/ModelDefinitions?filter=%7B%22include%22%3A%5B%22properties%22%2C%22relations%22%2C%22methods%22%5D%7D";

/// Where a model is.
pub(super) fn one(index: usize) -> String {
    format!("/api/ModelDefinitions/server.{}", name(index))
}

/// What a model is saved as: it replaces what stands there, but for its properties and relations.
pub(super) fn save(index: usize, plural: &str) -> Value {
    let mut entity = json!({"id": format!("server.{}", name(index)), "facetName": "server"});
    if let (Value::Object(entity), Value::Object(own)) = (&mut entity, own(index, plural)) {
        entity.extend(own);
    }
    entity
}

/// How a model's configuration is saved.
pub(super) fn configuration(index: usize, public: bool) -> Value {
    let name = name(index);
    json!({"id": format!("server.{name}"), "name": name, "facetName": "server", "dataSource": "db", "public": public})
}

/// The files of a producer's `dev`, as LoopBack's own tools write them.
pub(super) fn files(producer: &str, models: usize) -> Files {
    let mut config = json!({"_meta": {
        "sources": ["loopback/common/models", "loopback/server/models", "../common/models", "./models"],
        "mixins": ["loopback/common/mixins", "loopback/server/mixins", "../common/mixins", "./mixins"],
    }});
    let mut files = vec![("lunchbadger.json".to_owned(), file(producer, &[], false))];
    for index in 0..models {
        let name = name(index);
        config[&name] = json!({"dataSource": "db", "public": true});
        files.push((format!("server/models/model-{index}.json"), text(&model(index))));
        let code = format!("'use strict';\n\nmodule.exports = function({name}) {{\n\n}};\n");
        files.push((format!("server/models/model-{index}.js"), code));
    }
    let package = json!({"name": "bench", "version": "1.0.0", "main": "server/server.js", "dependencies": {"loopback": "^3.28.0"}});
    let rest = [
        ("package.json", package),
        ("server/config.json", json!({"restApiRoot": "/api", "host": "0.0.0.0", "port": 3000})),
        ("server/datasources.json", json!({"db": {"name": "db", "connector": "memory"}})),
        ("server/model-config.json", config),
    ];
    files.extend(rest.map(|(path, value)| (path.to_owned(), text(&value))));
    files
}

fn name(index: usize) -> String {
    format!("Model{index}")
}

/// What is a model's own.
fn own(index: usize, plural: &str) -> Value {
    json!({
        "name": name(index), "plural": plural, "base": "PersistedModel", "idInjection": true,
        "options": {"validateUpsert": true}, "lunchbadgerId": format!("model-{index}"),
    })
}

fn model(index: usize) -> Value {
    let mut model = own(index, &format!("Models{index}"));
    let property = json!({"type": "string", "required": true});
    model["properties"] =
        (0..PROPERTIES).map(|index| (format!("property{index}"), property.clone())).collect();
    model["validations"] = json!([]);
    model["relations"] = json!({"owner": {"type": "belongsTo", "model": "User", "foreignKey": "ownerId"}});
    model["acls"] = json!([]);
    model["methods"] = json!({});
    model
}

fn text(value: &Value) -> String {
    format!("{value:#}\n")
}
