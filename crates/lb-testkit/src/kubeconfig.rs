//! The users of a test cluster, and the kubeconfig that has a context for each.

use std::fmt;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::random_key;

/// Who calls the API server of a test cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything (`system:masters`).
    Admin,
    /// The control plane's own user: no rights but those that a test binds to the user `lunchbadger`.
    Lunchbadger,
    /// A foreign editor: may do everything, and its writes carry another field manager.
    Mallory,
    /// kube-controller-manager.
    ControllerManager,
    /// kube-scheduler.
    Scheduler,
    /// The kubelet of [`NODE_NAME`].
    Kubelet,
    /// kube-proxy.
    Proxy,
    /// CoreDNS and Contour: what stands in front of pods.
    NodeServices,
}

/// The name of the node that a test cluster may have.
pub(crate) const NODE_NAME: &str = "node";

impl User {
    /// Every user of a test cluster.
    pub const ALL: [Self; COUNT] = [
        Self::Admin,
        Self::Lunchbadger,
        Self::Mallory,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
        Self::NodeServices,
    ];

    /// The user's name, also that of its context in the kubeconfig.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Lunchbadger => "lunchbadger",
            Self::Mallory => "mallory",
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Scheduler => "system:kube-scheduler",
            Self::Kubelet => "system:node:node",
            Self::Proxy => "system:kube-proxy",
            Self::NodeServices => "system:node-services",
        }
    }

    /// Kubernetes binds roles to the names of scheduler, kubelet and proxy by itself.
    fn group(self) -> &'static str {
        match self {
            Self::Admin | Self::Mallory | Self::ControllerManager | Self::NodeServices => "system:masters",
            Self::Lunchbadger => "lunchbadger",
            Self::Kubelet => "system:nodes",
            Self::Scheduler | Self::Proxy => "system:parts",
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many users there are.
const COUNT: usize = 8;

/// A random token for each user.
pub(crate) struct Tokens([(User, String); COUNT]);

impl Tokens {
    /// New ones.
    pub(crate) fn random() -> Result<Self> {
        let mut tokens = User::ALL.map(|user| (user, String::new()));
        for (_, token) in &mut tokens {
            *token = hex::encode(random_key()?);
        }
        Ok(Self(tokens))
    }

    /// The API server's `--token-auth-file`.
    pub(crate) fn csv(&self) -> String {
        self.0.iter().map(|(user, token)| format!("{token},{user},{user},\"{}\"\n", user.group())).collect()
    }

    /// A kubeconfig with a context for each user; the current one is `current`.
    pub(crate) fn kubeconfig(&self, server: &str, authority_pem: &[u8], current: User) -> Value {
        let users: Vec<Value> = self
            .0
            .iter()
            .map(|(user, token)| json!({"name": user.name(), "user": {"token": token}}))
            .collect();
        let contexts: Vec<Value> = User::ALL
            .iter()
            .map(|user| json!({"name": user.name(), "context": {"cluster": "lunchbadger", "user": user.name()}}))
            .collect();
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lunchbadger", "cluster": {
                "server": server,
                "certificate-authority-data": STANDARD.encode(authority_pem),
            }}],
            "users": users,
            "contexts": contexts,
            "current-context": current.name(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kubelets_user_is_that_of_the_node() {
        assert_eq!(User::Kubelet.name(), format!("system:node:{NODE_NAME}"));
    }
}
