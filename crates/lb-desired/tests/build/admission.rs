//! What the API server refuses to delete, and what the actualizer may do. On a cluster of its own: others delete
//! producers as they like.

use kube::Client;
use kube::api::DeleteParams;
use lb_desired::crd::{self, CONFIRM_DELETE};
use lb_desired::settings::Settings;
use lb_testkit::cluster::TestCluster;
use lb_testkit::control_plane::Options;
use lb_testkit::eventually;
use lb_vocab::settings::Reader;
use serde_json::{Value, json};

use crate::api::{api, apply, meddle, name};
use crate::resources::install;

async fn delete(client: &Client, object: &Value) -> Result<(), String> {
    let answer = api(client, object).delete(name(object), &DeleteParams::default()).await;
    answer.map(drop).map_err(|error| error.to_string())
}

fn settings(target: &str) -> Settings {
    let variables = [("ACTUALIZER_TARGET_NAMESPACE".to_owned(), target.to_owned())].into();
    Settings::read(&mut Reader::new(&variables))
}

#[tokio::test]
async fn deleting_needs_the_name_once_more_and_rights_are_small() {
    let cluster = TestCluster::start(Options::default()).await.unwrap();
    let client = cluster.client().await;
    install(&client).await;
    nothing_is_deleted_unconfirmed(&client).await;
    rights_are_small(&cluster, &client).await;
}

async fn nothing_is_deleted_unconfirmed(client: &Client) {
    let (policy, binding) = crd::admission();
    for manifest in [serde_json::to_value(policy).unwrap(), serde_json::to_value(binding).unwrap()] {
        apply(client, &manifest).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let probe = |at: usize| {
        json!({
            "apiVersion": "lunchbadger.io/v1alpha1", "kind": "LBProducer", "metadata": { "name": format!("probe{at}") }, "spec": {},
        })
    };
    // The API server takes a moment to learn of a policy: until then it deletes.
    let at = std::cell::Cell::new(0);
    eventually("the policy", || async {
        at.set(at.get() + 1);
        let producer = probe(at.get());
        apply(client, &producer).await.map_err(|error| error.to_string())?;
        match delete(client, &producer).await {
            Ok(()) => Err("it was deleted".to_owned()),
            Err(error) => Ok(error),
        }
    })
    .await;
    let producer = probe(at.get());
    let error = delete(client, &producer).await.unwrap_err();
    assert!(error.contains("kubectl annotate lbproducers") && error.contains(CONFIRM_DELETE), "{error}");
    let confirm = |value: &str| json!({ "metadata": { "annotations": { CONFIRM_DELETE: value } } });
    meddle_merge(client, &producer, &confirm("another")).await;
    delete(client, &producer).await.unwrap_err();
    meddle_merge(client, &producer, &confirm(name(&producer))).await;
    delete(client, &producer).await.unwrap();

    for definition in crd::all() {
        let manifest = serde_json::to_value(definition).unwrap();
        let error = delete(client, &manifest).await.unwrap_err();
        assert!(error.contains("removes what producers run"), "{error}");
    }
    let mut other = serde_json::to_value(&crd::all()[0]).unwrap();
    other["metadata"]["name"] = json!("lbproducers.example.com");
    other["spec"]["group"] = json!("example.com");
    apply(client, &other).await.unwrap();
    delete(client, &other).await.unwrap();
}

async fn meddle_merge(client: &Client, object: &Value, patch: &Value) {
    let annotations = &patch["metadata"]["annotations"];
    meddle(client, object, &json!([{ "op": "add", "path": "/metadata/annotations", "value": annotations }]))
        .await;
}

async fn rights_are_small(cluster: &TestCluster, client: &Client) {
    for namespace in ["customer", "other"] {
        let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        apply(client, &manifest).await.unwrap();
    }
    for manifest in crd::rbac(&settings("customer")) {
        apply(client, &manifest).await.unwrap_or_else(|error| panic!("{manifest}: {error}"));
    }
    let account_may = async |account: &str, verb: &str, resource: &str, namespace: &str| {
        let user = format!("system:serviceaccount:default:{account}");
        let output =
            cluster.kubectl(&["auth", "can-i", verb, resource, "-n", namespace, "--as", &user]).await;
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    let may = async |verb: &str, resource: &str, namespace: &str| {
        account_may(crd::SERVICE_ACCOUNT, verb, resource, namespace).await
    };
    for (verb, resource, namespace, allowed) in [
        ("patch", "lbgateways.lunchbadger.io", "customer", true),
        ("patch", "lbproducers.lunchbadger.io", "default", true),
        ("patch", "lbgateways.lunchbadger.io", "other", false),
        ("patch", "lbgateways.lunchbadger.io/status", "customer", true),
        ("delete", "lbproducers.lunchbadger.io", "default", true),
        ("watch", "secrets", "customer", true),
        ("get", "secrets", "other", false),
        ("list", "secrets", "kube-system", false),
        ("list", "services", "other", false),
        ("update", "deployments.apps", "customer", false),
        ("create", "deployments.apps", "customer", true),
        ("create", "deployments.apps", "other", false),
        ("create", "pods", "customer", false),
        ("get", "leases.coordination.k8s.io", "default", true),
        ("create", "rolebindings.rbac.authorization.k8s.io", "other", false),
        ("create", "namespaces", "default", false),
        ("delete", "customresourcedefinitions.apiextensions.k8s.io", "default", false),
        ("create", "tokenreviews.authentication.k8s.io", "default", false),
    ] {
        assert_eq!(may(verb, resource, namespace).await, allowed, "{verb} {resource} in {namespace}");
    }
    for account in [crd::GIT_API_ACCOUNT, crd::CONFIGSTORE_ACCOUNT, crd::WATCHER_ACCOUNT] {
        for (verb, resource, namespace, allowed) in [
            ("create", "tokenreviews.authentication.k8s.io", "default", true),
            ("create", "serviceaccounts/token", "customer", false),
            ("get", "secrets", "customer", false),
            ("list", "serviceaccounts", "customer", false),
            ("get", "pods", "customer", false),
            ("list", "lbproducers.lunchbadger.io", "default", false),
        ] {
            let got = account_may(account, verb, resource, namespace).await;
            assert_eq!(got, allowed, "{account}: {verb} {resource} in {namespace}");
        }
    }
    for (verb, resource, namespace, allowed) in [
        ("watch", "pods", "customer", true),
        ("list", "deployments.apps", "customer", true),
        ("watch", "endpointslices.discovery.k8s.io", "customer", true),
        ("watch", "pods", "other", false),
        ("patch", "deployments.apps", "customer", false),
        ("watch", "secrets", "customer", false),
    ] {
        let got = account_may(crd::WATCHER_ACCOUNT, verb, resource, namespace).await;
        assert_eq!(got, allowed, "the watcher: {verb} {resource} in {namespace}");
    }
    for manifest in crd::rbac(&settings("customer-$PRODUCER")) {
        apply(client, &manifest).await.unwrap_or_else(|error| panic!("{manifest}: {error}"));
    }
    let single = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": crd::TARGET_ROLE, "namespace": "customer" } });
    delete(client, &single).await.unwrap();
    assert!(!may("get", "secrets", "customer").await);
    assert!(may("create", "rolebindings.rbac.authorization.k8s.io", "other").await);
    assert!(may("create", "namespaces", "default").await);
    assert!(may("watch", "services", "other").await);
    assert!(!may("get", "secrets", "other").await);
    assert!(!may("create", "services", "other").await);
    let binding =
        serde_json::to_value(crd::target_binding("other", &settings("customer-$PRODUCER"))).unwrap();
    apply(client, &binding).await.unwrap();
    assert!(may("get", "secrets", "other").await && may("create", "services", "other").await);
}
