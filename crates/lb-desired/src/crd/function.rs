//! `LBFunction`: one function.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ChildStatus;

/// One function of a producer's `functions` repository. Named `<producer>-<env>-<service>`; made by the producer's
/// plan: edit the repository, not this.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lunchbadger.io",
    version = "v1alpha1",
    kind = "LBFunction",
    plural = "lbfunctions",
    singular = "lbfunction",
    shortname = "lbfn",
    category = "lunchbadger",
    namespaced,
    status = "ChildStatus"
)]
#[serde(rename_all = "camelCase")]
pub struct LBFunctionSpec {
    /// The producer.
    pub producer: String,
    /// The environment.
    pub environment: String,
    /// The service's name.
    pub service: String,
    /// The function's id in the project, as a label value; empty where it has none. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The last commit of `functions` in which the function changed.
    pub commit: String,
    /// The directory in the repository.
    pub path: String,
    /// SHA-256 over every file of the directory, as hex.
    pub digest: String,
    /// Language and version: `nodejs:8`.
    pub runtime: String,
    /// The handler, as `serverless.yml` has it.
    pub handler: String,
    /// What calls the function beside its service. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Vec<FunctionTrigger>,
}

/// What calls a function. Exactly one of the fields is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionTrigger {
    /// A path of an HTTP route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// A schedule in cron's five fields, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// A topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
}
