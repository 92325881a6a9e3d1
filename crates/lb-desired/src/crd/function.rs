//! `LBFunction`: one function.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ChildStatus, schema};

/// Longest path of a function's directory, characters.
const MAX_PATH: usize = 1024;
/// Longest runtime, characters.
const MAX_RUNTIME: usize = 64;
/// Longest handler, characters.
const MAX_HANDLER: usize = 256;
/// Triggers of one function.
const MAX_TRIGGERS: usize = 32;
/// Longest HTTP path of a trigger, characters.
const MAX_HTTP: usize = 1024;
/// Longest schedule, characters.
const MAX_SCHEDULE: usize = 256;
/// Longest topic, characters.
const MAX_TOPIC: usize = 256;

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
    status = "ChildStatus",
    doc = "One function of a producer's functions repository. Made by the producer's plan: edit the repository, not this.",
    annotation("helm.sh/resource-policy", "keep"),
    selectable = ".spec.producer",
    validation = Rule::new("self.metadata.name == self.spec.producer + '-' + self.spec.environment + '-' + self.spec.service")
        .message("a function is named <producer>-<environment>-<service>"),
    printcolumn(name = "Producer", type_ = "string", json_path = ".spec.producer"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Runtime", type_ = "string", json_path = ".spec.runtime"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].status"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".spec.commit", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::names_fit()]))]
pub struct LBFunctionSpec {
    /// The producer: at most 37 characters of a-z, 0-9 and single dashes. Never changes.
    #[schemars(schema_with = "schema::producer")]
    pub producer: String,
    /// The environment: at most 10 characters of a-z and 0-9, a letter first. Never changes.
    #[schemars(schema_with = "schema::environment")]
    pub environment: String,
    /// The service's name: at most 63 characters of a-z, 0-9 and dashes. Never changes.
    #[schemars(length(max = 63), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    #[schemars(extend("x-kubernetes-validations" = [schema::never_changes("service")]))]
    pub service: String,
    /// The function's id in the project, as a label value; empty where it has none. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 63), regex(pattern = r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"))]
    pub id: String,
    /// The last commit of `functions` in which the function changed.
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub commit: String,
    /// The directory in the repository.
    #[schemars(length(min = 1, max = MAX_PATH))]
    pub path: String,
    /// SHA-256 over every file of the directory, as 64 hex digits.
    #[schemars(regex(pattern = r"^[0-9a-f]{64}$"))]
    pub digest: String,
    /// Language and version: `nodejs:8`.
    #[schemars(length(max = MAX_RUNTIME), regex(pattern = r"^[a-z]+:[0-9a-z.]+$"))]
    pub runtime: String,
    /// The handler, as `serverless.yml` has it.
    #[schemars(length(min = 1, max = MAX_HANDLER))]
    pub handler: String,
    /// What calls the function beside its service. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_TRIGGERS))]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Vec<FunctionTrigger>,
}

/// What calls a function. Exactly one of the fields is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic", "x-kubernetes-validations" = [
    {"rule": "[has(self.http), has(self.schedule), has(self.topic)].exists_one(given, given)",
     "message": "a trigger is exactly one of http, schedule and topic"}
]))]
pub struct FunctionTrigger {
    /// A path of an HTTP route. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_HTTP))]
    pub http: Option<String>,
    /// A schedule in cron's five fields, UTC. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_SCHEDULE))]
    pub schedule: Option<String>,
    /// A topic. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = MAX_TOPIC))]
    pub topic: Option<String>,
}

impl LBFunctionSpec {
    /// What of the producer's text the schema has no room for, in words, and what to do: the API server would refuse
    /// the whole child.
    #[must_use]
    pub fn excess(&self) -> Option<String> {
        if self.triggers.len() > MAX_TRIGGERS {
            return Some(format!("it has more than {MAX_TRIGGERS} events: leave some out"));
        }
        let own = [
            ("directory", Some(&self.path), MAX_PATH),
            ("runtime", Some(&self.runtime), MAX_RUNTIME),
            ("handler", Some(&self.handler), MAX_HANDLER),
        ];
        let triggers = self.triggers.iter().flat_map(|FunctionTrigger { http, schedule, topic }| {
            [
                ("path of an http event", http.as_ref(), MAX_HTTP),
                ("schedule", schedule.as_ref(), MAX_SCHEDULE),
                ("topic", topic.as_ref(), MAX_TOPIC),
            ]
        });
        let mut texts = own.into_iter().chain(triggers);
        let (what, _, max) =
            texts.find(|(_, text, max)| text.is_some_and(|text| text.chars().count() > *max))?;
        Some(format!("its {what} has more than {max} characters: shorten it"))
    }
}
