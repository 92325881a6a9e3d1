//! The custom resource definitions as people read them.

use lb_desired::crd::{self, LBFunctionSpec};
use serde_json::{Value, json};

/// Every property of a schema with its path, and whether it is required.
fn properties(path: &str, schema: &Value, found: &mut Vec<(String, Value, bool)>) {
    let required = |name: &str| {
        schema["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name))
    };
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        properties(&path, property, found);
        found.push((path, property.clone(), required(name)));
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            properties(&format!("{path}[]"), &schema[inner], found);
        }
    }
}

fn all_properties() -> Vec<(String, Value, bool)> {
    let mut found = Vec::new();
    for definition in crd::all() {
        let definition = serde_json::to_value(definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        properties(kind, &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut found);
    }
    found
}

#[test]
fn every_field_has_a_description_with_unit_and_default() {
    let mut seen = 0;
    let units =
        ["Number of", " of one environment", "bytes", "milliseconds", "a count", "How many", "together"];
    for (path, property, required) in all_properties() {
        let description = property["description"].as_str().unwrap_or_default().to_owned();
        assert!(description.len() > 10, "{path} has no description");
        assert!(!description.contains('\n'), "{path}: `kubectl explain` breaks its lines there");
        // Condition is Kubernetes' own type.
        if path.contains("conditions[]") {
            continue;
        }
        seen += 1;
        if path.contains(".spec.") && !required {
            assert!(description.contains("Default: "), "{path} has no default in `{description}`");
        }
        if property["type"] == "integer" {
            assert!(
                units.iter().any(|unit| description.contains(unit)),
                "{path} has no unit in `{description}`"
            );
        }
        if let Some(default) = property.get("default").filter(|default| !default.is_null()) {
            let default = default.to_string().replace('"', "");
            assert!(
                description.contains(&format!("Default: `{default}`"))
                    || description.contains(&format!("Default: {default}"))
                    || default.is_empty(),
                "{path}: {default} is not what `{description}` says"
            );
        }
    }
    assert!(seen > 50, "{seen}");
}

/// CEL needs bounds to be affordable, and so does etcd.
#[test]
fn every_text_and_list_of_a_spec_is_bounded() {
    for (path, property, _) in all_properties() {
        if !path.contains(".spec.") {
            continue;
        }
        let bounded = |value: &Value| {
            let pattern = value["pattern"].as_str().unwrap_or_default();
            value["type"] != "string"
                || value["maxLength"].is_u64()
                || pattern.contains("{64}")
                || value["enum"].is_array()
        };
        assert!(bounded(&property), "{path}");
        if property["type"] == "array" {
            assert!(property["maxItems"].is_u64() && bounded(&property["items"]), "{path}");
            assert!(property["x-kubernetes-list-type"].is_string(), "{path}");
        }
    }
}

#[test]
fn a_function_has_too_much_exactly_where_its_schema_says_so() {
    let good = json!({
        "producer": "al", "environment": "dev", "service": "s", "commit": "1".repeat(40), "path": "p",
        "digest": "0".repeat(64), "runtime": "nodejs:8", "handler": "h.h",
        "triggers": [{"http": "/"}, {"schedule": "* * * * *"}, {"topic": "t"}],
    });
    let excess = |spec: &Value| serde_json::from_value::<LBFunctionSpec>(spec.clone()).unwrap().excess();
    let bound = |path: &str, keyword: &str| {
        let properties = all_properties();
        let (_, property, _) = properties.iter().find(|(name, ..)| name == path).unwrap();
        usize::try_from(property[keyword].as_u64().unwrap()).unwrap()
    };
    for (pointer, path) in [
        ("/path", "LBFunction.spec.path"),
        ("/runtime", "LBFunction.spec.runtime"),
        ("/handler", "LBFunction.spec.handler"),
        ("/triggers/0/http", "LBFunction.spec.triggers[].http"),
        ("/triggers/1/schedule", "LBFunction.spec.triggers[].schedule"),
        ("/triggers/2/topic", "LBFunction.spec.triggers[].topic"),
    ] {
        let max = bound(path, "maxLength");
        let mut spec = good.clone();
        // Kubernetes counts characters, not bytes.
        *spec.pointer_mut(pointer).unwrap() = "é".repeat(max).into();
        assert_eq!(excess(&spec), None, "{path}");
        *spec.pointer_mut(pointer).unwrap() = "é".repeat(max + 1).into();
        assert!(excess(&spec).unwrap().contains(&max.to_string()), "{path}");
    }
    let max = bound("LBFunction.spec.triggers", "maxItems");
    let triggers = |n: usize| {
        let mut spec = good.clone();
        spec["triggers"] = vec![json!({"topic": "t"}); n].into();
        excess(&spec)
    };
    assert_eq!(triggers(max), None);
    assert!(triggers(max + 1).unwrap().contains(&max.to_string()));
}

#[test]
fn every_kind_has_columns_names_and_a_status() {
    for definition in crd::all() {
        let version = &definition.spec.versions[0];
        let columns: Vec<&str> =
            version.additional_printer_columns.iter().flatten().map(|column| column.name.as_str()).collect();
        let kind = &definition.spec.names.kind;
        for column in ["Applied", "Ready", "Age"] {
            assert!(columns.contains(&column), "{kind}: {columns:?}");
        }
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{kind}");
        assert_eq!(
            definition.spec.names.categories.as_deref(),
            Some(["lunchbadger".to_owned()].as_slice()),
            "{kind}"
        );
        assert!(definition.spec.names.short_names.is_some(), "{kind}");
        assert_eq!(definition.metadata.annotations.unwrap()["helm.sh/resource-policy"], "keep");
    }
}
