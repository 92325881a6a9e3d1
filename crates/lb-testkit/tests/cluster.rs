//! The cluster that tests get: its users, its controllers, its audit log, its restarts.
#![expect(clippy::unwrap_used, reason = "a helper of tests reports by failing the test")]

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use lb_testkit::cluster::{TestCluster, User};
use lb_testkit::control_plane::Options;
use lb_testkit::{eventually, eventually_within};
use serde_json::json;

async fn create_config_map(client: Client, namespace: &str) -> kube::Result<ConfigMap> {
    let object = serde_json::from_value(json!({"metadata": {"name": "x"}, "data": {"k": "v"}})).unwrap();
    Api::namespaced(client, namespace).create(&PostParams::default(), &object).await
}

#[tokio::test]
async fn users_have_their_rights_and_names() {
    let cluster = TestCluster::shared().await;
    let namespace = cluster.namespace("users").await;
    let refused =
        create_config_map(cluster.client_for(User::Lunchbadger).await, &namespace).await.unwrap_err();
    assert!(refused.to_string().contains("\"lunchbadger\" cannot create"), "{refused}");
    let made = create_config_map(cluster.client_for(User::Mallory).await, &namespace).await.unwrap();
    let managers = made.metadata.managed_fields.unwrap();
    assert_eq!(managers[0].manager.as_deref(), Some("test-mallory"));

    let seen = eventually("the audit log has the requests", || async {
        let of: Vec<_> = cluster
            .audit()
            .into_iter()
            .filter(|event| event["objectRef"]["namespace"] == namespace.as_str())
            .map(|event| {
                (
                    event["user"]["username"].clone(),
                    event["verb"].clone(),
                    event["responseStatus"]["code"].clone(),
                )
            })
            .collect();
        if of.len() == 2 { Ok(of) } else { Err(format!("{of:?}")) }
    })
    .await;
    assert_eq!(
        seen,
        [
            (json!("lunchbadger"), json!("create"), json!(403)),
            (json!("mallory"), json!("create"), json!(201))
        ]
    );
    let output = cluster.kubectl(&["get", "configmap", "x", "-n", &namespace, "-o", "name"]).await;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "configmap/x\n");
}

#[tokio::test]
async fn deployments_become_available_and_leave_nothing() {
    let cluster = TestCluster::shared().await;
    let namespace = cluster.namespace("deploy").await;
    let deployments: Api<Deployment> = Api::namespaced(cluster.client().await, &namespace);
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }))
    .unwrap();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    eventually("both replicas are available", || async {
        cluster.make_pods_ready(&namespace, "app=web").await.map_err(|error| error.to_string())?;
        let status =
            deployments.get("web").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        if status.available_replicas == Some(2) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    deployments.delete("web", &kube::api::DeleteParams::background()).await.unwrap();
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(cluster.client().await, &namespace);
    eventually("the pods are collected", || async {
        let left = pods.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} left")) }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_of_our_own_keeps_its_data_over_a_restart_and_leaves_no_files() {
    let cluster = TestCluster::start(Options::default()).await.unwrap();
    let namespace = cluster.namespace("restart").await;
    let client = cluster.client().await;
    create_config_map(client.clone(), &namespace).await.unwrap();
    cluster.stop_api_server().await;
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    assert!(maps.get("x").await.is_err());
    cluster.start_api_server().await;
    eventually_within("the old client is served", Duration::from_secs(60), || maps.get("x")).await;
    let directory = cluster.kubeconfig().parent().unwrap().to_owned();
    drop(cluster);
    assert!(!directory.exists());
}
