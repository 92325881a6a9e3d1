//! `LBWorkspace`: a producer's workspace and sls-api in one environment.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, schema};

/// The workspace and the sls-api of one producer in one environment. Named `<producer>-<env>`; made by the
/// producer's plan: edit the project, not this.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lunchbadger.io",
    version = "v1alpha1",
    kind = "LBWorkspace",
    plural = "lbworkspaces",
    singular = "lbworkspace",
    shortname = "lbw",
    category = "lunchbadger",
    namespaced,
    status = "ChildStatus",
    doc = "The workspace and the sls-api of one producer in one environment. Made by the producer's plan: edit the project, not this.",
    annotation("helm.sh/resource-policy", "keep"),
    selectable = ".spec.producer",
    validation = Rule::new("self.metadata.name == self.spec.producer + '-' + self.spec.environment")
        .message("a workspace is named <producer>-<environment>"),
    printcolumn(name = "Producer", type_ = "string", json_path = ".spec.producer"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".spec.environment"),
    printcolumn(name = "Objects", type_ = "string", json_path = ".status.objects"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].status"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::names_fit()]))]
pub struct LBWorkspaceSpec {
    /// The producer: at most 37 characters of a-z, 0-9 and single dashes. Never changes.
    #[schemars(schema_with = "schema::producer")]
    pub producer: String,
    /// The environment: at most 10 characters of a-z and 0-9, a letter first. Never changes.
    #[schemars(schema_with = "schema::environment")]
    pub environment: String,
    /// The commit of `dev` that the pods were last started for. Only set where `ENABLE_ROLLING_UPDATE` is on: each
    /// push then restarts the workspace. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub revision: Option<String>,
    /// The commit of `functions` that the sls-api was last started for, likewise. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub functions_revision: Option<String>,
}

/// What was done for a child resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChildStatus {
    /// The generation of the spec that this status is about, a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Objects that stand, of those that the spec asks for: `4/4`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub objects: String,
    /// What an operator should know: a foreign field manager, a host that somebody else has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
