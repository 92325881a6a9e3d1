//! Build: a child resource's spec -> exactly its Kubernetes objects. Pure and infallible; secrets are references.
//!
//! What the contract leaves open is decided where it is built: see the modules' comments, and [`projection`] for what
//! counts as drift.

mod component;
mod function;
mod gateway;
mod git;
mod manifest;
pub mod names;
mod network_policy;
mod pod;
pub mod projection;
pub(crate) mod quantity;
mod sls_api;
mod spec;
mod workspace;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lb_vocab::{CommitId, Producer, ProducerName, Secret};
use serde_json::{Value, json};

use crate::settings::Settings;

pub use function::{Function, function};
pub use manifest::Manifest;
pub use names::{
    Host, LabelValue, ServiceName, child_labels, config_reference, credentials_name, gateway_name,
    redis_namespace, shared_redis_name, sls_api_name, workspace_name,
};
pub use pod::{CONFIGSTORE_AUDIENCE, GIT_API_AUDIENCE, TOKEN_DIRECTORY};
pub use spec::{Gateway, SpecError, Workspace};

/// Key of the credentials Secret: Express Gateway's cipher key. The gateways of one environment share it, because
/// they share a Redis namespace.
pub const CIPHER_KEY_KEY: &str = "cipher-key";
/// Key of the credentials Secret: Express Gateway's session secret.
pub const SESSION_SECRET_KEY: &str = "session-secret";
/// Key of the credentials Secret: the password of the environment's Redis user. With `REDIS_ACL=off` also the key of
/// each gateway's Secret with the shared password; an empty value is no password.
pub const REDIS_PASSWORD_KEY: &str = "redis-password";

/// Annotation of a pod template: the commit that its pods were started for. Only under `ENABLE_ROLLING_UPDATE`.
pub const REVISION_ANNOTATION: &str = "lunchbadger.io/revision";

/// Annotation of a gateway's pod template, where `REDIS_ACL=off`: a digest of the shared Redis password, so that a new
/// password rolls out.
pub const REDIS_PASSWORD_ANNOTATION: &str = "lunchbadger.io/redis-password-digest";

/// The kinds of object that children own, in the order in which they are applied: what a Deployment needs comes
/// before it. Kinds to prune are these, so that no kind can be applied and forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeafKind {
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `v1` Secret: a rendered gateway configuration, or the Redis password that all gateways share.
    Secret,
    /// `v1` Service.
    Service,
    /// `apps/v1` Deployment.
    Deployment,
    /// `networking.k8s.io/v1` Ingress.
    Ingress,
}

impl LeafKind {
    /// Every kind, in the order of application.
    pub const ALL: [Self; 6] = [
        Self::ServiceAccount,
        Self::NetworkPolicy,
        Self::Secret,
        Self::Service,
        Self::Deployment,
        Self::Ingress,
    ];

    /// The kind's name in manifests.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Secret => "Secret",
            Self::Service => "Service",
            Self::Deployment => "Deployment",
            Self::Ingress => "Ingress",
        }
    }

    /// The API version in manifests.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::Secret | Self::Service => "v1",
            Self::Deployment => "apps/v1",
            Self::NetworkPolicy | Self::Ingress => "networking.k8s.io/v1",
        }
    }

    /// The resource's name in URLs.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::ServiceAccount => "serviceaccounts",
            Self::NetworkPolicy => "networkpolicies",
            Self::Secret => "secrets",
            Self::Service => "services",
            Self::Deployment => "deployments",
            Self::Ingress => "ingresses",
        }
    }
}

/// One object as it should stand: all that we set and nothing else. The owner reference is added when it is applied,
/// because it needs the owner's uid.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its kind.
    pub kind: LeafKind,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its manifest.
    pub manifest: Manifest,
}

impl fmt::Debug for Leaf {
    /// Kind and name alone: a manifest may hold a Secret's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.kind(), self.name)
    }
}

/// The objects of a workspace and its sls-api, in the order of application within each.
#[must_use]
pub fn workspace(workspace: &Workspace, settings: &Settings) -> Vec<Leaf> {
    let of_workspace =
        LeafKind::ALL.into_iter().filter_map(|kind| workspace::leaf(kind, workspace, settings));
    let of_sls_api = LeafKind::ALL.into_iter().filter_map(|kind| sls_api::leaf(kind, workspace, settings));
    of_workspace.chain(of_sls_api).collect()
}

/// One of the objects of [`workspace()`], alone.
#[must_use]
pub fn workspace_leaf(
    kind: LeafKind,
    name: &str,
    workspace: &Workspace,
    settings: &Settings,
) -> Option<Leaf> {
    let leaf = if name == sls_api_name(&workspace.producer) { sls_api::leaf } else { workspace::leaf };
    leaf(kind, workspace, settings).filter(|leaf| leaf.name == name)
}

/// The objects of a gateway, in the order of application. The Secret of its configuration is not among them: see
/// [`gateway_config`].
#[must_use]
pub fn gateway(gateway: &Gateway, settings: &Settings) -> Vec<Leaf> {
    LeafKind::ALL.into_iter().filter_map(|kind| gateway::leaf(kind, gateway, settings)).collect()
}

/// One of the objects of [`gateway()`], alone.
#[must_use]
pub fn gateway_leaf(kind: LeafKind, name: &str, gateway: &Gateway, settings: &Settings) -> Option<Leaf> {
    gateway::leaf(kind, gateway, settings).filter(|leaf| leaf.name == name)
}

/// The immutable Secret of a gateway's rendered configuration; `files` by key, as in
/// [`config_reference`].
#[must_use]
pub fn gateway_config(gateway: &Gateway, files: &BTreeMap<String, Secret>, settings: &Settings) -> Leaf {
    gateway::config(gateway, files, settings)
}

/// The secrets of one producer's environment. Made once, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Express Gateway's cipher key.
    pub cipher_key: Secret,
    /// Express Gateway's session secret.
    pub session_secret: Secret,
    /// The password of the environment's own Redis user.
    pub redis_password: Secret,
}

/// The Secret `credentials-<producer>-<env>`. It has no owner, so that nothing but `purge` removes it.
#[must_use]
pub fn credentials(producer: &Producer, credentials: &Credentials, settings: &Settings) -> Leaf {
    let Credentials { cipher_key, session_secret, redis_password } = credentials;
    let data = [
        (CIPHER_KEY_KEY, cipher_key),
        (SESSION_SECRET_KEY, session_secret),
        (REDIS_PASSWORD_KEY, redis_password),
    ];
    let metadata = ObjectMeta {
        name: Some(credentials_name(producer)),
        namespace: Some(settings.namespace(producer.name())),
        labels: Some(component::producer_labels(producer, CREDENTIALS_APP)),
        ..ObjectMeta::default()
    };
    component::secret(&metadata, data, None)
}

/// The `app` label of credentials Secrets.
pub const CREDENTIALS_APP: &str = "credentials";

/// The `app` labels of everything that we own in a target namespace: what watches select by, with `producer`.
pub const APPS: [&str; 4] = [CREDENTIALS_APP, names::GATEWAY, names::SLS_API, names::WORKSPACE];

/// The namespace of a producer's objects, made only where the operator's template gives each its own. Its label
/// `producer` says whose it is. Pods that are not Pod Security `restricted` are refused there.
#[must_use]
pub fn namespace(producer: &ProducerName, settings: &Settings) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": settings.namespace(producer),
            "labels": {
                "producer": producer,
                "pod-security.kubernetes.io/enforce": "restricted",
                "pod-security.kubernetes.io/enforce-version": "latest",
            },
        },
    })
}

fn revision_annotation(revision: Option<&CommitId>) -> BTreeMap<String, String> {
    revision.map(|commit| (REVISION_ANNOTATION.to_owned(), commit.to_string())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leaf_is_shown_without_what_it_holds() {
        let manifest = json!({"data": {"password": "aHVudGVyMg=="}});
        let leaf = Leaf {
            kind: LeafKind::Secret,
            name: "credentials".to_owned(),
            namespace: "customer".to_owned(),
            manifest: Manifest::of(&manifest),
        };
        assert_eq!(format!("{leaf:?}"), "Secret credentials");
        assert!(!format!("{:?}", leaf.manifest).contains("aHVudGVyMg"));
    }
}
