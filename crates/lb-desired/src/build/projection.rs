//! Drift: whether what stands is what we set.
//!
//! Rules, each with a row in `tests/build/projection.rs`:
//! * A field that we set must be there and equal. A field that we do not set may be anything: the API server's
//!   default, or somebody else's. What would hurt is therefore set, even where it is the default (`type: ClusterIP`).
//! * An empty text, list or object and `null` equal a field that is missing: the API server drops them.
//! * Quantities are compared by amount (`0.5` is `500m`) below `requests`, `limits` and at `sizeLimit`.
//! * Lists and maps that we own whole have nothing beside what we set: ports, `env`, `imagePullSecrets`, Ingress rules
//!   and TLS, all of a NetworkPolicy's spec, `command` and `args`, volume items; a Secret's data; selectors;
//!   capabilities.
//!   Lists that Kubernetes keys (ports, `env`) may stand in any order, others in ours. Defaults that the API server
//!   adds to an item are tolerated, but not in Ingress and NetworkPolicy rules, to which it adds none.
//! * Containers, init containers, volumes (by `name`), mounts (by `mountPath`) and owners (by `uid`) tolerate
//!   others beside ours: service meshes and agents inject them.
//! * Labels and annotations tolerate others beside ours.
//! * `stringData` is compared with `data`.
//! * `replicas` is tolerated where an autoscaler owns it: the live object's `managedFields` say that
//!   kube-controller-manager wrote it through `scale`. Scaling by hand is put back.
//! * `status`, and `apiVersion` and `kind` of what a list answered, are not looked at.

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::quantity;

/// How a list or map is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// A map of which we own what we set, or a list in which items are found by a key and others are tolerated.
    Shared(&'static [&'static str]),
    /// Owned whole: items are found by a key, others are drift.
    Whole(&'static [&'static str]),
    /// Owned whole, in order; items may have fields that we do not set.
    Ordered,
    /// Owned whole, in order, and items have nothing that we do not set: the API server adds nothing to these, and
    /// what somebody adds widens them.
    Exact,
}

/// The rule of a list, by the name of the field that holds it. Kubernetes has no two lists of one name below our
/// kinds that would need two rules, but `ports`: see [`rule_of_ports`].
fn list_rule(field: &str, first: Option<&Value>) -> Rule {
    match field {
        "containers" | "initContainers" | "volumes" => Rule::Shared(&["name"]),
        "volumeMounts" => Rule::Shared(&["mountPath"]),
        "ownerReferences" => Rule::Shared(&["uid"]),
        "env" | "imagePullSecrets" => Rule::Whole(&["name"]),
        "ports" => rule_of_ports(first),
        "ingress" | "egress" | "rules" | "tls" => Rule::Exact,
        _ => Rule::Ordered,
    }
}

/// Ports of a Service and of a container are keyed; those of a NetworkPolicy are a plain list.
fn rule_of_ports(first: Option<&Value>) -> Rule {
    match first {
        Some(port) if port.get("containerPort").is_some() => Rule::Whole(&["containerPort", "protocol"]),
        Some(port) if port.get("targetPort").is_some() => Rule::Whole(&["port", "protocol"]),
        _ => Rule::Ordered,
    }
}

/// Maps in which a foreign key changes what ours mean; a NetworkPolicy's `spec` is one, because rules that we do not
/// set let nobody in.
fn is_whole_map(field: &str, desired: &Map<String, Value>) -> bool {
    matches!(field, "data" | "selector" | "podSelector" | "matchLabels" | "capabilities")
        || desired.contains_key("policyTypes")
}

/// Whether what stands has everything that we set, and nothing that we own whole beside it. See the module for the
/// rules. `desired` is a leaf's manifest, with or without its owner; `live` is what the API server answered.
#[must_use]
pub fn matches(desired: &Value, live: &Value) -> bool {
    let mut desired = comparable(desired);
    if autoscaled(live) {
        remove_replicas(&mut desired);
    }
    let Value::Object(fields) = &mut desired else { return desired == *live };
    for field in ["apiVersion", "kind"] {
        if live.get(field).is_none() {
            fields.remove(field);
        }
    }
    same_value("", &desired, live)
}

/// What stands beside what we own whole, as JSON pointers into `live` in the order in which a JSON patch removes
/// them: from the end. Server-side apply leaves these alone, because another manager set them; lists that
/// it replaces as a whole (Ingress and NetworkPolicy rules) are not among them.
#[must_use]
pub fn foreign_extras(desired: &Value, live: &Value) -> Vec<String> {
    let mut found = Vec::new();
    extras("", "", &comparable(desired), live, &mut found);
    found
}

/// JSON patch operations that write every keyed list that we own whole, and that is not as it should be, as we set
/// it. For the case that server-side apply is refused because another manager's item and ours cannot stand together:
/// a port of our port's name, a variable's `value` beside our `valueFrom`. Apply again afterwards.
#[must_use]
pub fn overwrites(desired: &Value, live: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    lists_to_overwrite("", "", &comparable(desired), live, &mut found);
    found
}

fn lists_to_overwrite(path: &str, field: &str, desired: &Value, live: &Value, found: &mut Vec<Value>) {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            for (key, ours) in desired {
                if let Some(theirs) = live.get(key) {
                    lists_to_overwrite(&format!("{path}/{}", escaped(key)), key, ours, theirs, found);
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => match list_rule(field, ours.first()) {
            Rule::Whole(_) if !same_list(field, ours, theirs) => {
                found.push(json!({ "op": "replace", "path": path, "value": ours }));
            }
            Rule::Shared(keys) => {
                for (at, theirs) in theirs.iter().enumerate() {
                    if let Some(ours) = ours.iter().find(|ours| same_key(keys, ours, theirs)) {
                        lists_to_overwrite(&format!("{path}/{at}"), "", ours, theirs, found);
                    }
                }
            }
            Rule::Whole(_) | Rule::Ordered | Rule::Exact => {}
        },
        _ => {}
    }
}

/// Whether an autoscaler owns `spec.replicas` of what stands: it must then be left out of what is applied, which
/// [`without_replicas`] does.
#[must_use]
pub fn autoscaled(live: &Value) -> bool {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.into_iter().flatten().any(|entry| {
        entry.get("manager").and_then(Value::as_str) == Some("kube-controller-manager")
            && entry.get("subresource").and_then(Value::as_str) == Some("scale")
            && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    })
}

/// A manifest without `spec.replicas`.
#[must_use]
pub fn without_replicas(desired: &Value) -> Value {
    let mut desired = desired.clone();
    remove_replicas(&mut desired);
    desired
}

fn remove_replicas(desired: &mut Value) {
    if let Some(spec) = desired.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("replicas");
    }
}

/// A manifest as the API server stores it: `stringData` is `data`, and there is no `status`.
fn comparable(desired: &Value) -> Value {
    let mut desired = desired.clone();
    if let Some(fields) = desired.as_object_mut() {
        fields.remove("status");
        if let Some(Value::Object(texts)) = fields.remove("stringData") {
            let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
            for (key, text) in texts {
                let bytes = text.as_str().unwrap_or_default().as_bytes().to_vec();
                data[key] = serde_json::to_value(ByteString(bytes)).unwrap_or_default();
            }
        }
    }
    desired
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value without its empty parts.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), pruned(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn same_value(field: &str, desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => same_map(field, desired, live),
        (Value::Array(desired), Value::Array(live)) => same_list(field, desired, live),
        _ => desired == live || (is_empty(desired) && is_empty(live)),
    }
}

fn same_map(field: &str, desired: &Map<String, Value>, live: &Map<String, Value>) -> bool {
    let amounts = matches!(field, "requests" | "limits");
    let whole = is_whole_map(field, desired);
    let ours = desired.iter().all(|(key, value)| {
        let standing = live.get(key).unwrap_or(&Value::Null);
        let same = if amounts || key == "sizeLimit" { same_amount(value, standing) } else { false };
        same || same_value(key, value, standing)
    });
    ours && (!whole || live.iter().all(|(key, value)| desired.contains_key(key) || is_empty(value)))
}

/// Whether two quantities are equal amounts; numbers are quantities, too.
fn same_amount(desired: &Value, live: &Value) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    matches!((text(desired), text(live)), (Some(desired), Some(live)) if quantity::same(&desired, &live))
}

fn same_list(field: &str, desired: &[Value], live: &[Value]) -> bool {
    match list_rule(field, desired.first()) {
        Rule::Ordered => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(ours, theirs)| same_value("", ours, theirs))
        }
        Rule::Exact => desired.len() == live.len() && desired.iter().map(pruned).eq(live.iter().map(pruned)),
        Rule::Whole(keys) => desired.len() == live.len() && all_found(keys, desired, live),
        Rule::Shared(keys) => all_found(keys, desired, live),
    }
}

fn all_found(keys: &[&str], desired: &[Value], live: &[Value]) -> bool {
    desired
        .iter()
        .all(|ours| live.iter().any(|theirs| same_key(keys, ours, theirs) && same_value("", ours, theirs)))
}

/// Whether two items of a keyed list are about the same thing. A missing `protocol` is TCP.
fn same_key(keys: &[&str], ours: &Value, theirs: &Value) -> bool {
    let tcp = Value::String("TCP".to_owned());
    let part = |item: &Value, key: &str| match item.get(key) {
        Some(value) => value.clone(),
        None if key == "protocol" => tcp.clone(),
        None => Value::Null,
    };
    keys.iter().all(|key| part(ours, key) == part(theirs, key))
}

fn extras(path: &str, field: &str, desired: &Value, live: &Value, found: &mut Vec<String>) {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            let whole = is_whole_map(field, desired);
            for (key, value) in live {
                let path = format!("{path}/{}", escaped(key));
                match desired.get(key) {
                    Some(ours) => extras(&path, key, ours, value, found),
                    None if whole && !is_empty(value) => found.push(path),
                    None => {}
                }
            }
        }
        (Value::Array(desired), Value::Array(live)) => {
            let (keys, whole) = match list_rule(field, desired.first()) {
                Rule::Ordered | Rule::Exact => return,
                Rule::Whole(keys) => (keys, true),
                Rule::Shared(keys) => (keys, false),
            };
            extras_of_list(path, (keys, whole), desired, live, found);
        }
        _ => {}
    }
}

/// Extras of a keyed list, from its end. Of two live items with the key of ours the one that equals ours stays.
fn extras_of_list(
    path: &str,
    (keys, whole): (&[&str], bool),
    desired: &[Value],
    live: &[Value],
    found: &mut Vec<String>,
) {
    let counterpart = |ours: &Value| {
        let candidates = || live.iter().enumerate().filter(|(_, theirs)| same_key(keys, ours, theirs));
        candidates()
            .find(|(_, theirs)| same_value("", ours, theirs))
            .or_else(|| candidates().next())
            .map(|(at, _)| at)
    };
    let kept: Vec<(usize, &Value)> =
        desired.iter().filter_map(|ours| Some((counterpart(ours)?, ours))).collect();
    for (at, theirs) in live.iter().enumerate().rev() {
        let path = format!("{path}/{at}");
        match kept.iter().find(|(kept, _)| *kept == at) {
            Some((_, ours)) => extras(&path, "", ours, theirs, found),
            None if whole => found.push(path),
            None => {}
        }
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
