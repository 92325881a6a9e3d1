//! From what is known of an environment's objects to the message that clients get. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::objects::{Deployment, Endpoints, Group, Part, Pod, Rollout};

/// What is known of one environment.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) pods: Vec<(Arc<str>, Pod)>,
    pub(super) deployments: Vec<(Arc<str>, Deployment)>,
    pub(super) endpoints: Vec<(Arc<str>, Endpoints)>,
}

/// What is known of one service.
#[derive(Default)]
struct Service<'a> {
    pods: Vec<(&'a str, &'a Pod)>,
    rollouts: Vec<Rollout>,
    /// Whether it has an endpoint.
    running: bool,
    /// The pods that are one.
    serving: BTreeSet<&'a str>,
}

/// The message: the whole state. A service is there as long as it has a pod or a Deployment.
pub(super) fn message(objects: &Objects) -> String {
    let mut services: BTreeMap<&Part, Service<'_>> = BTreeMap::new();
    for (name, pod) in &objects.pods {
        services.entry(&pod.part).or_default().pods.push((name, pod));
    }
    for (_, deployment) in &objects.deployments {
        services.entry(&deployment.part).or_default().rollouts.push(deployment.rollout);
    }
    for (_, endpoints) in &objects.endpoints {
        // A Service whose Deployment and pods are gone, or not there yet, is nothing to see.
        if let Some(service) = services.get_mut(&endpoints.part) {
            service.running |= endpoints.any;
            service.serving.extend(endpoints.pods.iter().map(|pod| &**pod));
        }
    }
    let mut groups: Map<String, Value> =
        Group::ALL.into_iter().map(|group| (group.name().to_owned(), json!({}))).collect();
    for (part, service) in services {
        groups[part.group.name()][&*part.id] = service.state();
    }
    Value::Object(groups).to_string()
}

impl Service<'_> {
    fn state(&self) -> Value {
        let latest = self.pods.iter().max_by_key(|(name, pod)| (&*pod.created, *name)).map(|(_, pod)| *pod);
        let rollout = |wanted| self.rollouts.contains(&wanted);
        let pods: Map<String, Value> =
            self.pods.iter().map(|(name, pod)| ((*name).to_owned(), self.pod(name, pod))).collect();
        json!({
            "status": {
                "running": self.running,
                "deployment": {
                    "inProgress": rollout(Rollout::Progressing),
                    "latestReady": latest.is_some_and(is_ready),
                    "latestFailed": rollout(Rollout::Failed) || latest.is_some_and(|pod| pod.failed),
                },
            },
            "pods": pods,
        })
    }

    /// Conditions first: whatever they are called, what stands beside them is ours.
    fn pod(&self, name: &str, pod: &Pod) -> Value {
        let mut state = json!({ "ready": false });
        for (condition, holds) in &pod.conditions {
            state[&**condition] = json!(holds);
        }
        state["servesRequests"] = json!(self.serving.contains(name));
        state["failed"] = json!(pod.failed);
        state["stopped"] = json!(pod.stopped);
        state["startTime"] = json!(pod.start_time);
        state
    }
}

fn is_ready(pod: &Pod) -> bool {
    pod.conditions.iter().any(|(name, holds)| &**name == "ready" && *holds)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::objects::Reading;
    use super::*;

    /// What a watch of these objects holds of one environment.
    fn read(objects: &[Value], environment: &str, target: &str) -> Objects {
        let reading = Reading { target: target.parse().unwrap() };
        let mut read = Objects::default();
        for object in objects {
            let name: Arc<str> = object["metadata"]["name"].as_str().unwrap().into();
            match object["kind"].as_str().unwrap() {
                "Pod" => read.pods.extend(
                    reading.pod(object).filter(|pod| pod.group == environment).map(|pod| (name, pod.value)),
                ),
                "Deployment" => read.deployments.extend(
                    reading
                        .deployment(object)
                        .filter(|deployment| deployment.group == environment)
                        .map(|deployment| (name, deployment.value)),
                ),
                "EndpointSlice" => read.endpoints.extend(
                    reading
                        .endpoints(object)
                        .filter(|endpoints| endpoints.group == environment)
                        .map(|endpoints| (name, endpoints.value)),
                ),
                other => panic!("what is a {other}?"),
            }
        }
        read
    }

    #[test]
    fn objects_become_the_message() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/watcher");
        let mut cases = 0;
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let case: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let target = case["target"].as_str().unwrap_or("customer");
            let objects = read(case["objects"].as_array().unwrap(), "al-dev", target);
            let got: Value = serde_json::from_str(&message(&objects)).unwrap();
            assert_eq!(got, case["message"], "{}: {}\n{got:#}", path.display(), case["why"]);
            cases += 1;
        }
        assert!(cases >= 10, "{cases} cases");
    }

    #[test]
    fn the_groups_come_in_the_contract_s_order() {
        let empty = r#"{"gateway":{},"workspace":{},"sls-api":{},"kubeless-fn":{}}"#;
        assert_eq!(message(&Objects::default()), empty);
    }
}
