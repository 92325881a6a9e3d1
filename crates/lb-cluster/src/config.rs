//! State of ours in ConfigMaps: read with its version, written only where that has not moved.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::Api;
use lb_desired::crd::FIELD_MANAGER;

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
        let version = version(&attempt, &map)?;
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
        let maps: Api<ConfigMap> = Api::namespaced(self.client().clone(), namespace);
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: over.map(|version| version.to_string()),
            ..ObjectMeta::default()
        };
        let map = ConfigMap { metadata, data: Some(data.clone()), ..ConfigMap::default() };
        let parameters = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let written = match over {
            None => self.call(&attempt, maps.create(&parameters, &map)).await?,
            Some(_) => self.call(&attempt, maps.replace(name, &parameters, &map)).await?,
        };
        version(&attempt, &written)
    }
}

fn version(attempt: &str, map: &ConfigMap) -> Result<Version, ApiError> {
    Version::of(map).ok_or_else(|| ApiError::Malformed {
        attempt: attempt.to_owned(),
        what: "an object without a version".to_owned(),
    })
}
