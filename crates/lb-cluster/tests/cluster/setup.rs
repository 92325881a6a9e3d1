//! CRDs and namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use lb_testkit::unique;

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
    assert!(cluster.ensure_namespace(&name, &labels).await.unwrap());
    let writes = cluster.requests().writes();
    assert!(!cluster.ensure_namespace(&name, &BTreeMap::new()).await.unwrap());
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
    let nobody = kube::api::Patch::Merge(serde_json::json!({"subjects": null}));
    api.patch(name, &kube::api::PatchParams::default(), &nobody).await.unwrap();
    cluster.ensure_role_binding(&binding).await.unwrap();
    assert_eq!(api.get(name).await.unwrap().subjects, binding.subjects);
}
