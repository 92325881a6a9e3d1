//! Build: a child resource's spec -> exactly its Kubernetes objects. Pure and infallible; secrets are references.

use serde_json::Value;

/// The kinds of object that children own, in the order in which they are applied: what a Deployment needs comes
/// before it. Kinds to prune are these, so that no kind can be applied and forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeafKind {
    /// `v1` ServiceAccount.
    ServiceAccount,
    /// `networking.k8s.io/v1` NetworkPolicy.
    NetworkPolicy,
    /// `v1` Secret: a rendered gateway configuration.
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
    pub const ALL: [Self; 6] =
        [Self::ServiceAccount, Self::NetworkPolicy, Self::Secret, Self::Service, Self::Deployment, Self::Ingress];

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
#[derive(Clone, Debug, PartialEq)]
pub struct Leaf {
    /// Its kind.
    pub kind: LeafKind,
    /// Its name.
    pub name: String,
    /// The manifest, with `apiVersion`, `kind`, `metadata{name,namespace,labels,annotations}`.
    pub manifest: Value,
}
