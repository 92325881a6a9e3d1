//! `LBGateway`: one Express Gateway.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChildStatus, schema};

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
    status = "ChildStatus",
    doc = "One gateway of a project, or the auto gateway. Made by the producer's plan: edit the project, not this.",
    annotation("helm.sh/resource-policy", "keep"),
    selectable = ".spec.producer",
    validation = Rule::new("self.metadata.name == self.spec.producer + '-' + self.spec.environment + '-' + self.spec.instance")
        .message("a gateway is named <producer>-<environment>-<instance>"),
    printcolumn(name = "Host", type_ = "string", json_path = ".spec.hosts[0]"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".spec.replicas"),
    printcolumn(name = "Objects", type_ = "string", json_path = ".status.objects"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].status"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Config", type_ = "string", json_path = ".spec.config.name", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    schema::names_fit(),
    {"rule": "self.config.name == 'gateway-' + self.producer + '-' + self.environment + '-' + self.instance + '-' + self.config.digest.substring(0, 10)",
     "message": "config.name is the name of the gateway's objects and the first 10 digits of config.digest"}
]))]
pub struct LBGatewaySpec {
    /// The producer: at most 37 characters of a-z, 0-9 and single dashes. Never changes.
    #[schemars(schema_with = "schema::producer")]
    pub producer: String,
    /// The environment: at most 10 characters of a-z and 0-9, a letter first. Never changes.
    #[schemars(schema_with = "schema::environment")]
    pub environment: String,
    /// The instance, part of every object's name: at most 15 characters of a-z and 0-9. Never changes.
    #[schemars(length(max = 15), regex(pattern = r"^[a-z0-9]+$"))]
    #[schemars(extend("x-kubernetes-validations" = [schema::never_changes("instance")]))]
    pub instance: String,
    /// The gateway's id in the project, as a label value.
    #[schemars(length(max = 63), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub id: String,
    /// Public hosts, without the admin host. The first is the gateway's own.
    #[schemars(length(min = 1, max = 1000))]
    #[schemars(inner(
        length(max = 253),
        regex(pattern = r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$")
    ))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hosts: Vec<String>,
    /// Number of pods. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 100))]
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
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ConfigReference {
    /// The Secret's name: the gateway's objects' name and the digest's first 10 digits.
    #[schemars(length(max = 253))]
    pub name: String,
    /// SHA-256 over the Secret's keys and values, as 64 hex digits.
    #[schemars(length(max = 64), regex(pattern = r"^[0-9a-f]{64}$"))]
    pub digest: String,
}
