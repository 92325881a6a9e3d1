//! The objects of a plan, as manifests: children, their leaves, rendered configurations.

use anyhow::{Context, Result};
use kube::{Resource, ResourceExt};
use lb_desired::build;
use lb_desired::crd::{LBFunction, LBGateway, LBWorkspace};
use lb_desired::plan::Plan;
use lb_desired::settings::Settings;
use lb_vocab::{Digest, Producer};
use serde::Serialize;
use serde_json::Value;

/// A manifest with each value of a Secret replaced by its digest; anything else as it is.
pub(crate) fn redacted(manifest: &Value) -> Value {
    let mut manifest = manifest.clone();
    if manifest.get("kind").and_then(Value::as_str) == Some("Secret") {
        for field in ["data", "stringData"] {
            for value in manifest
                .get_mut(field)
                .and_then(Value::as_object_mut)
                .into_iter()
                .flat_map(|map| map.values_mut())
            {
                let text = value.as_str().unwrap_or_default();
                *value = Value::String(format!("sha256:{}", Digest::of(&plain(text, field == "data"))));
            }
        }
    }
    manifest
}

/// What a Secret's value is made of: two ways of writing it have one digest.
fn plain(text: &str, encoded: bool) -> Vec<u8> {
    let decoded = || serde_json::from_value::<k8s_openapi::ByteString>(Value::String(text.to_owned())).ok();
    match encoded.then(decoded).flatten() {
        Some(bytes) => bytes.0,
        None => text.as_bytes().to_vec(),
    }
}

/// Everything that the plan deploys, as it should stand: each child with its leaves, a gateway's configuration before the
/// gateway. Owner references are left out: they need the owners' uids.
///
/// # Errors
/// Where a planned spec cannot be built: a plan of ours never has one.
pub(crate) fn of_plan(plan: &Plan, producer: &Producer, settings: &Settings) -> Result<Vec<Value>> {
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let namespace = settings.namespace(producer.name());
    let mut objects = Objects { producer, namespace, list: Vec::new() };
    for (name, spec) in workspace.deployed() {
        let input = build::Workspace::try_from(spec).with_context(|| format!("build workspace {name}"))?;
        objects.child(LBWorkspace::new(name, spec.clone()))?;
        objects.leaves(build::workspace(&input, settings));
    }
    for (name, gateway) in gateways.deployed() {
        let input =
            build::Gateway::try_from(&gateway.spec).with_context(|| format!("build gateway {name}"))?;
        objects.leaves(vec![build::gateway_config(&input, &gateway.config, settings)]);
        objects.child(LBGateway::new(name, gateway.spec.clone()))?;
        objects.leaves(build::gateway(&input, settings));
    }
    for (name, spec) in functions.deployed() {
        objects.child(LBFunction::new(name, spec.clone()))?;
    }
    Ok(objects.list)
}

struct Objects<'a> {
    producer: &'a Producer,
    namespace: String,
    list: Vec<Value>,
}

impl Objects<'_> {
    fn child<K: Resource<DynamicType = ()> + Serialize>(&mut self, mut child: K) -> Result<()> {
        child.meta_mut().namespace = Some(self.namespace.clone());
        child.labels_mut().extend(build::child_labels(self.producer));
        let mut manifest =
            serde_json::to_value(&child).with_context(|| format!("write {} as JSON", K::kind(&())))?;
        if let Some(fields) = manifest.as_object_mut() {
            fields.shift_remove("status");
        }
        self.list.push(manifest);
        Ok(())
    }

    fn leaves(&mut self, leaves: Vec<build::Leaf>) {
        self.list.extend(leaves.into_iter().map(|leaf| leaf.manifest.value()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::redacted;

    #[test]
    fn a_value_has_one_digest_however_it_is_written() {
        let encoded = redacted(&json!({"kind": "Secret", "data": {"a": "aHVudGVyMg=="}}));
        let plain = redacted(&json!({"kind": "Secret", "stringData": {"a": "hunter2"}}));
        assert_eq!(encoded["data"]["a"], plain["stringData"]["a"]);
        assert!(encoded["data"]["a"].as_str().unwrap().starts_with("sha256:f52fbd32"));
        let other = json!({"kind": "ConfigMap", "data": {"a": "aHVudGVyMg=="}});
        assert_eq!(redacted(&other), other);
    }
}
