//! Pods that nothing runs, with the tokens that a kubelet would get for them.

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::ObjectMeta;
use lb_vocab::Secret;
use serde_json::json;

use crate::cluster::TestCluster;

/// The shortest life that the API server gives a token.
const LIFETIME: i64 = 600;

/// A pod with a service account.
pub struct AccountPod {
    accounts: Api<ServiceAccount>,
    pods: Api<Pod>,
    account: String,
    name: String,
    uid: String,
}

impl AccountPod {
    /// Makes an account and a pod of its name.
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn create(cluster: &TestCluster, namespace: &str, name: &str) -> Self {
        let client = cluster.client().await;
        let account = ServiceAccount {
            metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        accounts.create(&PostParams::default(), &account).await.expect("create a service account");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"serviceAccountName": name, "containers": [{"name": "c", "image": "i"}]},
        });
        let pod = serde_json::from_value(pod).expect("a pod");
        let pods: Api<Pod> = Api::namespaced(client, namespace);
        let pod = pods.create(&PostParams::default(), &pod).await.expect("create a pod");
        Self::of(cluster, namespace, &pod).await
    }

    /// A pod that stands.
    ///
    /// # Panics
    /// Where it has no account, or is not read from the API server.
    pub async fn of(cluster: &TestCluster, namespace: &str, pod: &Pod) -> Self {
        let client = cluster.client().await;
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        Self {
            accounts: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
            account: account.expect("a pod that stands has an account"),
            name: pod.metadata.name.clone().expect("an object that stands has a name"),
            uid: pod.metadata.uid.clone().expect("an object that stands has a uid"),
        }
    }

    /// A token that is bound to the pod.
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn token(&self, audience: &str) -> Secret {
        let bound = BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.name.clone()),
            uid: Some(self.uid.clone()),
        };
        self.request(audience, Some(bound)).await
    }

    /// A token of the account that is bound to no pod.
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn unbound_token(&self, audience: &str) -> Secret {
        self.request(audience, None).await
    }

    async fn request(&self, audience: &str, bound_object_ref: Option<BoundObjectReference>) -> Secret {
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            bound_object_ref,
            expiration_seconds: Some(LIFETIME),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer =
            self.accounts.create_token_request(&self.account, &PostParams::default(), &request).await;
        let status = answer.expect("request a token").status.expect("a token request has a status");
        Secret::new(status.token.expect("a token"))
    }

    /// Deletes the pod; its account stays.
    ///
    /// # Panics
    /// Where the API server refuses.
    pub async fn delete(&self) {
        self.pods.delete(&self.name, &DeleteParams::default()).await.expect("delete the pod");
    }
}
