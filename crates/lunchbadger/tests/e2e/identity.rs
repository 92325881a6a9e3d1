//! Pods that the Actualizer deployed are known to git-api and the configstore by the tokens that they are built with.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use lb_testkit::eventually;
use lb_testkit::pods::AccountPod;

use crate::world::{NAMESPACE, World};

/// The producer's pod of a component, as the Deployment's controllers made it.
async fn pod(world: &World, producer: &str, app: &str) -> Pod {
    let pods: Api<Pod> = Api::namespaced(world.cluster.client().await, NAMESPACE);
    let selector = ListParams::default().labels(&format!("producer={producer},app={app}"));
    eventually(&format!("{producer} has a pod of {app}"), || async {
        let listed = pods.list(&selector).await.map_err(|error| error.to_string())?;
        listed.items.into_iter().next().ok_or("none".to_owned())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_pod_reaches_its_own_producer_alone() {
    let world = crate::shared().await;
    let names = ["id", "ot"].map(lb_testkit::unique);
    world.create_all(&names).await;
    let [own, other] = &names;
    for (app, container) in [("workspace", "/spec/initContainers/1"), ("sls-api", "/spec/containers/0")] {
        let pod = pod(&world, own, app).await;
        let account = AccountPod::of(&world.cluster, NAMESPACE, &pod).await;
        for (audience, service, path) in [
            ("git-api", &world.git_api, "/users/customer"),
            ("configstore", &world.configstore, "/producers"),
        ] {
            assert_eq!(tokens_of(&pod, container), ["git-api", "configstore"], "{app}");
            let token = account.token(audience).await;
            for (name, status) in [(own, 200), (other, 403)] {
                let url = format!("{service}{path}/{name}");
                let answer = reqwest::Client::new().get(&url).bearer_auth(token.reveal()).send().await;
                let answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
                assert_eq!(answer.status(), status, "{app} of {own}: {url}: {}", world.log().await);
            }
        }
    }
}

/// The audiences of the tokens that a container mounts.
fn tokens_of(pod: &Pod, container: &str) -> Vec<String> {
    let pod = serde_json::to_value(pod).expect("a pod is JSON");
    let mounts = pod.pointer(container).expect("the container")["volumeMounts"].as_array().cloned();
    let mounts = mounts.unwrap_or_default();
    let volumes = pod["spec"]["volumes"].as_array().cloned().unwrap_or_default();
    let mounted = volumes.iter().filter(|volume| mounts.iter().any(|mount| mount["name"] == volume["name"]));
    let sources =
        mounted.flat_map(|volume| volume["projected"]["sources"].as_array().cloned().unwrap_or_default());
    sources
        .filter_map(|source| source["serviceAccountToken"]["audience"].as_str().map(str::to_owned))
        .collect()
}
