//! CRDs and namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{Patch, PatchParams};
use lb_testkit::unique;
use serde_json::json;

use crate::support::{connect, settings, shared};

#[tokio::test]
async fn crds_are_applied_over_themselves() {
    let shared = shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    cluster.apply_crds(&lb_desired::crd::all(), Duration::from_secs(60)).await.unwrap();
    let explained = shared.kubectl(&["explain", "lbgateways.spec.hosts"]).await;
    let text = String::from_utf8(explained.stdout).unwrap();
    assert!(text.contains("hosts"), "{text}");
}

#[tokio::test]
async fn a_namespace_is_made_with_its_labels_and_then_only_read() {
    let shared = shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    let name = unique("customer-");
    let labels: BTreeMap<String, String> =
        [("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())].into();
    let made = cluster.ensure_namespace(&name, &labels).await.unwrap();
    assert!(labels.iter().all(|(key, value)| made.get(key) == Some(value)), "{made:?}");
    let writes = cluster.requests().writes();
    let others = [("producer".to_owned(), "al".to_owned())].into();
    assert_eq!(cluster.ensure_namespace(&name, &others).await.unwrap(), made);
    assert_eq!(cluster.requests().writes(), writes);
    let api: Api<Namespace> = Api::all(shared.client().await);
    let namespace = api.get(&name).await.unwrap();
    assert_eq!(namespace.metadata.labels.unwrap()["pod-security.kubernetes.io/enforce"], "restricted");
}

#[tokio::test]
async fn our_requests_say_who_we_are() {
    let shared = shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    cluster.client().apiserver_version().await.unwrap();
    let agents: Vec<String> = shared
        .audit()
        .iter()
        .filter_map(|event| event["userAgent"].as_str().map(ToOwned::to_owned))
        .collect();
    assert!(agents.iter().any(|agent| agent.starts_with("lunchbadger/")), "{agents:?}");
}

#[tokio::test]
async fn a_role_binding_is_made_read_and_put_back() {
    let shared = shared().await;
    let cluster = connect(shared.kubeconfig()).await;
    let namespace = shared.namespace("customer").await;
    let binding = lb_desired::crd::target_binding(&namespace, &settings("customer-$PRODUCER", "default"));
    cluster.ensure_role_binding(&binding).await.unwrap();
    let writes = cluster.requests().writes();
    cluster.ensure_role_binding(&binding).await.unwrap();
    assert_eq!(cluster.requests().writes(), writes);
    let api: Api<RoleBinding> = Api::namespaced(shared.client().await, &namespace);
    let name = binding.metadata.name.as_deref().unwrap();
    // What somebody put there, as the manager of these fields, goes too.
    let mallory = PatchParams { field_manager: Some("mallory".into()), ..PatchParams::default() };
    let user = json!({"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"});
    for subjects in [json!(null), json!([user])] {
        let patch = Patch::Merge(json!({"subjects": subjects}));
        api.patch(name, &mallory, &patch).await.unwrap();
        cluster.ensure_role_binding(&binding).await.unwrap();
        assert_eq!(api.get(name).await.unwrap().subjects, binding.subjects);
    }
}
