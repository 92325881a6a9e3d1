//! What is kept of a pod, a Deployment and an EndpointSlice: some dozen bytes each, read when its event arrives. Pure.

use lb_cluster::Grouped;
use lb_desired::build::names::{GATEWAY, SLS_API, WORKSPACE};
use lb_desired::settings::NamespaceTemplate;
use lb_vocab::{Environment, Producer, ProducerName};
use serde_json::Value;

/// The objects of the four groups. Functions have the label `env`, the others `environment`.
pub(super) const SELECTOR: &str = "producer,app in (gateway,workspace,sls-api,kubeless-fn)";

/// Conditions of a pod that are told.
const CONDITIONS: usize = 16;
/// Why a container waits that does not come up by itself (kubelet's reasons).
const STUCK: [&str; 8] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// A group of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Gateway,
    Workspace,
    SlsApi,
    Function,
}

impl Group {
    /// In the order of the message.
    pub(super) const ALL: [Self; 4] = [Self::Gateway, Self::Workspace, Self::SlsApi, Self::Function];

    /// Its name, which is the label `app` of its objects.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gateway => GATEWAY,
            Self::Workspace => WORKSPACE,
            Self::SlsApi => SLS_API,
            Self::Function => "kubeless-fn",
        }
    }
}

/// The service that an object is part of, among those of its environment: the label `id`, or `default`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part {
    pub(super) group: Group,
    pub(super) id: Box<str>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) part: Part,
    /// When it was made: of several pods the newest is the latest.
    pub(super) created: Box<str>,
    pub(super) start_time: Option<Box<str>>,
    /// It failed as a whole, or a container that is not ready ended with an error or cannot be started.
    pub(super) failed: bool,
    /// It ended well as a whole, or a container that is not ready did.
    pub(super) stopped: bool,
    /// Its conditions, in lower case.
    pub(super) conditions: Vec<(Box<str>, bool)>,
}

/// A Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deployment {
    pub(super) part: Part,
    pub(super) rollout: Rollout,
}

/// Where the roll-out of a Deployment's newest template is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// All pods are of it, and were available once.
    Done,
    /// Under way.
    Progressing,
    /// Its deadline passed.
    Failed,
}

/// An EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) part: Part,
    /// Whether any endpoint is ready.
    pub(super) any: bool,
    /// The pods behind the ready ones.
    pub(super) pods: Vec<Box<str>>,
}

/// Reads objects of the namespaces where producers' objects are.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) target: NamespaceTemplate,
}

impl Reading {
    pub(super) fn pod(&self, object: &Value) -> Option<Grouped<Pod>> {
        let (group, part) = self.head(object)?;
        let status = |field: &str| object.get("status")?.get(field);
        let phase = status("phase").and_then(Value::as_str).unwrap_or_default();
        let (init, main) =
            (containers(status("initContainerStatuses")), containers(status("containerStatuses")));
        let failed = phase == "Failed" || init.clone().chain(main.clone()).any(has_failed);
        let stopped = !failed && (phase == "Succeeded" || main.clone().any(has_stopped));
        let conditions = status("conditions").and_then(Value::as_array).into_iter().flatten();
        let condition = |condition: &Value| {
            let name = condition.get("type")?.as_str()?.to_lowercase();
            Some((name.into(), condition.get("status")?.as_str()? == "True"))
        };
        let pod = Pod {
            part,
            created: text(object, "/metadata/creationTimestamp").unwrap_or_default().into(),
            start_time: status("startTime").and_then(Value::as_str).map(Into::into),
            failed,
            stopped,
            conditions: conditions.filter_map(condition).take(CONDITIONS).collect(),
        };
        Some(Grouped { group, value: pod })
    }

    pub(super) fn deployment(&self, object: &Value) -> Option<Grouped<Deployment>> {
        let (group, part) = self.head(object)?;
        Some(Grouped { group, value: Deployment { part, rollout: rollout(object) } })
    }

    pub(super) fn endpoints(&self, object: &Value) -> Option<Grouped<Endpoints>> {
        let (group, part) = self.head(object)?;
        let all = object.get("endpoints").and_then(Value::as_array).into_iter().flatten();
        // Kubernetes: one that does not say is ready.
        let ready = all.filter(|endpoint| {
            endpoint.pointer("/conditions/ready").and_then(Value::as_bool).unwrap_or(true)
        });
        let pod = |endpoint: &Value| {
            let target = endpoint.get("targetRef")?;
            (target.get("kind")? == "Pod").then(|| Some(target.get("name")?.as_str()?.into()))?
        };
        let (any, pods) = (ready.clone().next().is_some(), ready.filter_map(pod).collect());
        Some(Grouped { group, value: Endpoints { part, any, pods } })
    }

    /// Environment and service of an object, by its labels; only in the namespace where that producer's objects are.
    fn head(&self, object: &Value) -> Option<(String, Part)> {
        let metadata = object.get("metadata")?;
        let label = |name: &str| metadata.get("labels")?.get(name)?.as_str();
        let name: ProducerName = label("producer")?.parse().ok()?;
        let environment: Environment = label("environment").or_else(|| label("env"))?.parse().ok()?;
        if metadata.get("namespace")?.as_str()? != self.target.namespace(&name) {
            return None;
        }
        let app = label("app")?;
        let group = Group::ALL.into_iter().find(|group| group.name() == app)?;
        let id = label("id").filter(|id| !id.is_empty()).unwrap_or("default").into();
        Some((Producer::new(name, environment).ok()?.to_string(), Part { group, id }))
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str()
}

fn containers(statuses: Option<&Value>) -> impl Iterator<Item = &Value> + Clone {
    statuses.and_then(Value::as_array).into_iter().flatten()
}

/// How a container that is not ready ended last: its exit code.
fn ended(container: &Value) -> Option<i64> {
    if container.get("ready").and_then(Value::as_bool) == Some(true) {
        return None;
    }
    let code = |state: &str| container.get(state)?.get("terminated")?.get("exitCode")?.as_i64();
    code("state").or_else(|| code("lastState"))
}

fn has_failed(container: &Value) -> bool {
    let stuck = text(container, "/state/waiting/reason").is_some_and(|reason| STUCK.contains(&reason));
    stuck || ended(container).is_some_and(|code| code != 0)
}

fn has_stopped(container: &Value) -> bool {
    ended(container) == Some(0)
}

/// As the Deployment's own condition `Progressing` says it, once its controller has seen the newest template.
fn rollout(object: &Value) -> Rollout {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return Rollout::Progressing;
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let progressing = conditions.into_iter().find(|condition| condition["type"] == "Progressing");
    match progressing {
        Some(condition) if condition["status"] == "False" => Rollout::Failed,
        Some(condition) if condition["reason"] == "NewReplicaSetAvailable" => Rollout::Done,
        Some(_) | None => Rollout::Progressing,
    }
}
