//! `LBGateway`: one Express Gateway.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChildStatus;

/// One gateway of a project, or the auto gateway. Named `<producer>-<env>-<instance>`; made by the producer's plan:
/// edit the project, not this.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lunchbadger.io",
    version = "v1alpha1",
    kind = "LBGateway",
    plural = "lbgateways",
    singular = "lbgateway",
    shortname = "lbg",
    category = "lunchbadger",
    namespaced,
    status = "ChildStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct LBGatewaySpec {
    /// The producer.
    pub producer: String,
    /// The environment.
    pub environment: String,
    /// The instance, part of every object's name.
    pub instance: String,
    /// The gateway's id in the project, as a label value.
    pub id: String,
    /// Public hosts, without the admin host. The first is the gateway's own.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hosts: Vec<String>,
    /// Number of pods. Default: 1.
    #[serde(default = "one")]
    pub replicas: i32,
    /// The rendered configuration.
    pub config: ConfigReference,
}

fn one() -> i32 {
    1
}

/// Names a rendered configuration: an immutable Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigReference {
    /// The Secret's name: the gateway's objects' name and the digest's first 10 digits.
    pub name: String,
    /// SHA-256 over the Secret's keys and values, as hex.
    pub digest: String,
}
