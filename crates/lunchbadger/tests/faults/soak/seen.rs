//! What stands of a producer, as the API server tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::model::{GATEWAYS, Routes, WORKSPACE};
use crate::snapshot::Snapshot;
use crate::world::base64;

/// Kinds of objects that a component has, besides its custom resource.
const LEAVES: [&str; 5] = ["ServiceAccount", "NetworkPolicy", "Service", "Deployment", "Ingress"];

/// What stands of one producer.
pub(super) struct Seen {
    producer: String,
    snapshot: Snapshot,
}

impl Seen {
    pub(super) fn new(producer: &str, snapshot: Snapshot) -> Self {
        Self { producer: producer.to_owned(), snapshot }
    }

    /// Uids of what must not be made anew as long as a component stands: its resource, and its Deployments.
    pub(super) fn uids(&self, component: &str) -> BTreeMap<String, Option<Value>> {
        let lasting = self.objects(component).into_iter();
        let lasting = lasting.filter(|key| key.starts_with("LB") || key.starts_with("Deployment/"));
        lasting.map(|key| (key.clone(), self.get(&key, "/metadata/uid").cloned())).collect()
    }

    /// The credentials.
    pub(super) fn credentials(&self) -> Option<&Value> {
        self.get(&self.credentials_key(), "/data")
    }

    /// Components with what their Deployments publish. Fails where one stands in part, and where something stands that
    /// belongs to none.
    pub(super) fn components(&self) -> Result<BTreeMap<&'static str, Routes>, String> {
        let mut known: BTreeSet<String> =
            [format!("LBProducer/{}", self.producer), self.credentials_key()].into();
        let mut components = BTreeMap::new();
        for name in GATEWAYS.into_iter().chain([WORKSPACE]) {
            let objects = self.objects(name);
            let standing = objects.iter().filter(|key| self.snapshot.0.contains_key(*key)).count();
            if standing == objects.len() {
                components.insert(name, self.routes(name)?);
            } else if standing > 0 {
                return Err(format!("`{name}` of {} stands in part: {standing} objects", self.producer));
            }
            known.extend(objects);
        }
        let gateways: Vec<String> = GATEWAYS
            .into_iter()
            .filter(|name| components.contains_key(name))
            .map(|name| format!("Secret/{}-", self.deployment(name)))
            .collect();
        let strange = |key: &&String| {
            !known.contains(*key) && !gateways.iter().any(|gateway| key.starts_with(gateway.as_str()))
        };
        match self.snapshot.0.keys().find(strange) {
            Some(key) => Err(format!("{key} should not stand")),
            None => Ok(components),
        }
    }

    fn credentials_key(&self) -> String {
        format!("Secret/credentials-{}-dev", self.producer)
    }

    fn deployment(&self, gateway: &str) -> String {
        format!("gateway-{}-dev-{gateway}", self.producer)
    }

    /// Keys of a component's objects, but for configurations.
    fn objects(&self, component: &str) -> Vec<String> {
        let producer = &self.producer;
        if component == WORKSPACE {
            let of = |part: &str| LEAVES.map(|kind| format!("{kind}/{part}-{producer}-dev"));
            let mut objects = [of("workspace"), of("sls-api")].concat();
            objects.push(format!("LBWorkspace/{producer}-dev"));
            return objects;
        }
        let mut objects = LEAVES.map(|kind| format!("{kind}/{}", self.deployment(component))).to_vec();
        objects.push(format!("LBGateway/{producer}-dev-{component}"));
        objects
    }

    /// Paths in the configuration that a gateway's pods get.
    fn routes(&self, component: &str) -> Result<Routes, String> {
        if component == WORKSPACE {
            return Ok(Routes::new());
        }
        let deployment = format!("Deployment/{}", self.deployment(component));
        let volumes = self.get(&deployment, "/spec/template/spec/volumes").and_then(Value::as_array);
        let secrets: Vec<&str> = volumes
            .into_iter()
            .flatten()
            .filter_map(|volume| volume.pointer("/secret/secretName")?.as_str())
            .collect();
        let [secret] = secrets[..] else { return Err(format!("{deployment} has {secrets:?}")) };
        let file = self.get(&format!("Secret/{secret}"), "/data/gateway.config.yml").and_then(Value::as_str);
        let file = file.ok_or_else(|| format!("{deployment} has {secret}, which does not stand"))?;
        let file: Value = serde_json::from_slice(&base64(file)).map_err(|error| error.to_string())?;
        let endpoints = file["apiEndpoints"].as_object().into_iter().flat_map(|all| all.values());
        let paths = endpoints.filter_map(|endpoint| endpoint["paths"].as_array()).flatten();
        Ok(paths.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn get(&self, key: &str, pointer: &str) -> Option<&Value> {
        self.snapshot.0.get(key)?.pointer(pointer)
    }
}
