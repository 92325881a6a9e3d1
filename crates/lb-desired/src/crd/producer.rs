//! `LBProducer`: one producer, cluster-wide.

use std::collections::BTreeMap;

use kube::CustomResource;
use lb_vocab::{Limits, Producer, ProducerName, Revision, TextError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;

/// The annotation that asks for a reconcile: any new value is a request. Handled where the status has the same value as
/// `lastHandledReconcileAt`.
pub const RECONCILE_REQUESTED_AT: &str = "lunchbadger.io/reconcile-requested-at";

/// The environment of a producer for which the operator has not chosen others.
const DEFAULT_ENVIRONMENT: &str = "dev";

/// A producer of APIs: a git user with a `dev` and a `functions` repository. Made by the roster; `access`, `suspend`,
/// `limits` and `environments` are the operator's.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "lunchbadger.io",
    version = "v1alpha1",
    kind = "LBProducer",
    plural = "lbproducers",
    singular = "lbproducer",
    shortname = "lbp",
    category = "lunchbadger",
    status = "LBProducerStatus",
    doc = "A producer of APIs: a git user with a dev and a functions repository. Made by the roster; the spec is the operator's.",
    annotation("helm.sh/resource-policy", "keep"),
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && !self.metadata.name.contains('--') && !self.metadata.name.startsWith('sls-') && !self.metadata.name.startsWith('internal-') && !self.metadata.name.startsWith('admin-')")
        .message("a producer's name is a-z, 0-9 and single dashes, and does not start with sls-, internal- or admin-"),
    validation = Rule::new("self.spec.environments.all(e, size(e) + size(self.metadata.name) <= 38)")
        .message("producer and environment together have at most 38 characters"),
    printcolumn(name = "Environments", type_ = "string", json_path = ".spec.environments"),
    printcolumn(name = "Access", type_ = "string", json_path = ".spec.access"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend"),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].status"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Applied\")].message",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct LBProducerSpec {
    /// Environments that are deployed, 1 to 10: each at most 10 characters of a-z and 0-9, a letter first.
    /// Default: `[dev]`.
    #[serde(default = "default_environments")]
    #[schemars(length(min = 1, max = 10), inner(length(max = 10), regex(pattern = r"^[a-z][a-z0-9]*$")))]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub environments: Vec<String>,
    /// Whether the producer may run anything. `Disabled` removes all of its objects but its credentials, as
    /// `disabled` in its project does; either suffices. Default: `Enabled`.
    #[serde(default)]
    pub access: Access,
    /// Touch nothing of this producer: neither apply nor remove. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// Limits that differ from the platform's. Default: none.
    #[serde(default, skip_serializing_if = "LimitOverrides::is_empty")]
    pub limits: LimitOverrides,
}

fn default_environments() -> Vec<String> {
    vec![DEFAULT_ENVIRONMENT.to_owned()]
}

/// A producer in the environment that it has where the operator has not chosen others.
///
/// # Errors
/// Where the two together are too long: the API server would refuse its `LBProducer`.
pub fn in_default_environment(name: ProducerName) -> Result<Producer, TextError> {
    Producer::new(name, DEFAULT_ENVIRONMENT.parse()?)
}

/// Whether a producer may run anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Access {
    /// What its project says runs.
    #[default]
    Enabled,
    /// Nothing runs; credentials are kept.
    Disabled,
}

/// Limits of one producer that differ from the platform's defaults. The sizes of a push and of a repository are not
/// among them: the git host refuses what is larger, and knows nothing of this resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitOverrides {
    /// Gateways of one environment. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub gateways: Option<u32>,
    /// Functions of one environment. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub functions: Option<u32>,
    /// Service endpoints and API endpoints together. Default: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub endpoints: Option<u32>,
    /// Models of one environment. Default: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100_000))]
    pub models: Option<u32>,
    /// Size of `lunchbadger.json` in bytes. Default: 4194304 (4 MiB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_073_741_824))]
    pub project_file_bytes: Option<u64>,
}

impl LimitOverrides {
    /// Whether nothing is overridden.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The limits that hold: `base` with what is overridden.
    #[must_use]
    pub fn over(&self, base: &Limits) -> Limits {
        let or =
            |own: Option<u32>, base: usize| own.map_or(base, |n| usize::try_from(n).unwrap_or(usize::MAX));
        Limits {
            gateways: or(self.gateways, base.gateways),
            functions: or(self.functions, base.functions),
            endpoints: or(self.endpoints, base.endpoints),
            models: or(self.models, base.models),
            project_file_bytes: self.project_file_bytes.unwrap_or(base.project_file_bytes),
            push_bytes: base.push_bytes,
            repository_bytes: base.repository_bytes,
        }
    }
}

/// What was seen of a producer, and done for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LBProducerStatus {
    /// The generation of the spec that this status is about, a count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The request that was handled last: the value of annotation `lunchbadger.io/reconcile-requested-at`, once git was
    /// read and every object was looked at after it was set. Any new value of the annotation is a request; it is
    /// handled when the two are equal. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// Conditions of the producer as a whole, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The state of each environment, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<String, EnvironmentStatus>,
    /// The first 404 of the producer at the configstore, milliseconds since the epoch; absent while it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<u64>,
}

/// The state of one environment of a producer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// The newest revision that was worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted: Option<RevisionStatus>,
    /// The newest revision whose objects all stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<RevisionStatus>,
    /// Digest of the plan that was applied: equal plans need no write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_digest: Option<String>,
    /// First 16 hex digits of the digest of everything that the plan was made from: revision, settings, limits,
    /// access. Equal inputs and children need no reading. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs_digest: Option<String>,
    /// Credentials were made. Where they are noted and missing the environment is stalled; they are never made anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credentials_made: bool,
    /// Gateways that stand, of those that the plan has: `2/3`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gateways: String,
    /// Findings: sorted, at most 32, each at most 256 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)))]
    pub findings: Vec<String>,
    /// How many findings there are in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub finding_count: u32,
    /// Digest of what the git host was told last of the attempted commit, by repository: the same is told once.
    /// Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, String>,
    /// Conditions of the environment, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// A revision in a status: full commit ids, absent where the source is proven absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Commit of `dev`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dev: Option<String>,
    /// Commit of `functions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functions: Option<String>,
    /// Commit of the OpenAPI document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openapi: Option<String>,
}

impl From<&RevisionStatus> for Revision {
    /// Text that is no commit id (somebody edited the status) counts as absent: it is then read anew.
    fn from(status: &RevisionStatus) -> Self {
        let id = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        Self { dev: id(&status.dev), functions: id(&status.functions), openapi: id(&status.openapi) }
    }
}

impl From<&Revision> for RevisionStatus {
    fn from(revision: &Revision) -> Self {
        let text = |id: &Option<lb_vocab::CommitId>| id.as_ref().map(ToString::to_string);
        Self {
            dev: text(&revision.dev),
            functions: text(&revision.functions),
            openapi: text(&revision.openapi),
        }
    }
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
