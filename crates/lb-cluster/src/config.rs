//! State of ours in ConfigMaps: read with its version, written only where that has not moved. Written by patches: the
//! control plane has no right to `update` them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use lb_desired::crd::FIELD_MANAGER;
use serde_json::json;

use crate::collection::{Collection, Scope, only_at, patch_of};
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::Version;

/// A ConfigMap as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its data.
    pub data: BTreeMap<String, String>,
    /// Its version, for [`Cluster::write_config`].
    pub version: Version,
}

impl Cluster {
    /// Reads a ConfigMap; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn read_config(&self, namespace: &str, name: &str) -> Result<Option<Config>, ApiError> {
        let attempt = format!("read ConfigMap {name}");
        let maps: Api<ConfigMap> = Api::namespaced(self.client().clone(), namespace);
        let Some(map) = self.call(&attempt, maps.get_opt(name)).await? else { return Ok(None) };
        let version = Version::of(&map).ok_or_else(|| unversioned(&attempt))?;
        Ok(Some(Config { data: map.data.unwrap_or_default(), version }))
    }

    /// Writes a ConfigMap as a whole: over the version that was read, or (`None`) where there is none yet.
    ///
    /// # Errors
    /// A conflict where somebody else wrote it meanwhile; and where it cannot be written.
    pub async fn write_config(
        &self,
        namespace: &str,
        name: &str,
        data: &BTreeMap<String, String>,
        over: Option<Version>,
    ) -> Result<Version, ApiError> {
        let attempt = format!("write ConfigMap {name}");
        let maps = Collection::new("v1", "configmaps", "ConfigMap", &Scope::Namespace(namespace.to_owned()));
        let written = match over {
            None => {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
                let parameters = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.to_owned()) };
                let request = maps.request().create(&parameters, map.to_string().into_bytes());
                self.send(&attempt, request).await?
            }
            Some(version) => {
                let operations = vec![only_at(version), json!({"op": "add", "path": "/data", "value": data})];
                self.json_patch(&maps, name, None, patch_of(&attempt, operations)?).await?
            }
        };
        let version = written["metadata"]["resourceVersion"].as_str().and_then(Version::parse);
        version.ok_or_else(|| unversioned(&attempt))
    }
}

fn unversioned(attempt: &str) -> ApiError {
    ApiError::Malformed { attempt: attempt.to_owned(), what: "an object without a version".to_owned() }
}
