//! What stands of a producer, and what of it is the same in every run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use serde_json::{Map, Value, json};

use crate::world::NAMESPACE;

/// Kinds of which a producer has objects, with their groups.
const KINDS: [(&str, &str, &str); 10] = [
    ("lunchbadger.io", "v1alpha1", "LBProducer"),
    ("", "v1", "ServiceAccount"),
    ("", "v1", "Secret"),
    ("", "v1", "Service"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apps", "v1", "Deployment"),
    ("lunchbadger.io", "v1alpha1", "LBWorkspace"),
    ("lunchbadger.io", "v1alpha1", "LBGateway"),
    ("lunchbadger.io", "v1alpha1", "LBFunction"),
];
/// Fields of any object that are another one's in each run, that controllers write, or that tell what happened rather
/// than what is (what the git host was told).
const OTHERWISE: [&str; 13] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "generation",
    "observedGeneration",
    "lastTransitionTime",
    "missingSince",
    "told",
    "clusterIP",
    "clusterIPs",
    "deployment.kubernetes.io/revision",
    "lunchbadger.io/purge",
];

/// Objects by kind and name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Snapshot(pub(crate) BTreeMap<String, Value>);

impl Snapshot {
    /// What stands of a producer now.
    pub(crate) async fn take(client: &Client, producer: &str) -> kube::Result<Self> {
        let lists = apis(client).map(|(kind, api)| async move {
            let list = match kind {
                "LBProducer" => ListParams::default().fields(&format!("metadata.name={producer}")),
                _ => ListParams::default().labels(&format!("producer={producer}")),
            };
            Ok::<_, kube::Error>((kind, api.list(&list).await?))
        });
        let mut all = BTreeMap::new();
        for (kind, objects) in futures::future::try_join_all(lists).await? {
            for object in objects {
                let name = object.name_any();
                all.insert(
                    format!("{kind}/{name}"),
                    serde_json::to_value(object).expect("an object is JSON"),
                );
            }
        }
        Ok(Self(all))
    }

    /// With what the Actualizer writes down of itself.
    pub(crate) async fn with_own(mut self, client: &Client) -> kube::Result<Self> {
        let maps = Api::<ConfigMap>::namespaced(client.clone(), "default");
        if let Some(map) = maps.get_opt("lunchbadger-status").await? {
            self.0.insert("ConfigMap/lunchbadger-status".to_owned(), json!({"data": map.data}));
        }
        Ok(self)
    }

    /// Deletes all of it.
    pub(crate) async fn remove(&self, client: &Client) -> kube::Result<()> {
        for (kind, api) in apis(client) {
            for name in self.0.keys().filter_map(|key| key.strip_prefix(kind)?.strip_prefix('/')) {
                match api.delete(name, &DeleteParams::default()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    deleted => drop(deleted?),
                }
            }
        }
        Ok(())
    }

    /// What is the same in every run.
    pub(crate) fn normalised(&self) -> Self {
        let normalise = |(key, object): (&String, &Value)| {
            let mut object = object.clone();
            if !key.starts_with("LB") {
                object.as_object_mut().expect("an object").remove("status");
            }
            if key.starts_with("Secret/credentials-") {
                object["data"] = Value::Null;
            }
            (key.clone(), normalised(&object))
        };
        Self(self.0.iter().map(normalise).collect())
    }

    /// A field of each object.
    pub(crate) fn each(&self, pointer: &str) -> BTreeMap<&str, &Value> {
        self.0
            .iter()
            .map(|(key, object)| (key.as_str(), object.pointer(pointer).unwrap_or(&Value::Null)))
            .collect()
    }

    /// Data of the credentials.
    pub(crate) fn credentials(&self) -> BTreeMap<&str, &Value> {
        self.each("/data").into_iter().filter(|(key, _)| key.starts_with("Secret/credentials-")).collect()
    }

    /// Where two differ, in words.
    pub(crate) fn differences(&self, other: &Self) -> String {
        let keys: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let mut lines = Vec::new();
        for key in keys {
            match (self.0.get(key), other.0.get(key)) {
                (Some(a), Some(b)) => differences(key, a, b, &mut lines),
                (Some(_), None) => lines.push(format!("{key} should not stand")),
                (None, Some(_)) => lines.push(format!("{key} is missing")),
                (None, None) => {}
            }
        }
        lines.join("\n")
    }
}

/// Access to the objects of each kind.
fn apis(client: &Client) -> impl Iterator<Item = (&'static str, Api<DynamicObject>)> {
    KINDS.into_iter().map(|(group, version, kind)| {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api = match kind {
            "LBProducer" => Api::all_with(client.clone(), &resource),
            _ => Api::namespaced_with(client.clone(), NAMESPACE, &resource),
        };
        (kind, api)
    })
}

fn differences(at: &str, is: &Value, should: &Value, lines: &mut Vec<String>) {
    if is == should {
        return;
    }
    match (is, should) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |map: &Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
                differences(&format!("{at}/{key}"), &of(a), &of(b), lines);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{at}/{index}"), a, b, lines);
            }
        }
        _ => lines.push(format!("{at} is {is}, should be {should}")),
    }
}

fn normalised(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, _)| !OTHERWISE.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key.clone(), normalised(value))).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(normalised).collect()),
        Value::String(text) => Value::String(without_numbers(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Commit ids, digests of them and times are left out: runs of at least ten hex digits of which one is a digit.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for character in text.chars().chain(['\0']) {
        if character.is_ascii_digit() || ('a'..='f').contains(&character) {
            run.push(character);
            continue;
        }
        let number = run.len() >= 10 && run.contains(|c: char| c.is_ascii_digit());
        out.push_str(if number { "*" } else { &run });
        run.clear();
        out.push(character);
    }
    out.pop();
    out
}
