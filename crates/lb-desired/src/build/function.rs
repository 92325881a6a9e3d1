//! A function, as the Kubeless object of `functions.md`: validated and shown, not applied yet. No file content stands
//! in a child, so `function`, `deps` and `function-content-type` join where files are read, when functions run.

use lb_vocab::Producer;
use serde_json::{Value, json};

use super::names::function_name;
use super::{LabelValue, ServiceName};
use crate::crd::FunctionTrigger;
use crate::settings::Settings;

/// The port at which functions serve.
pub(super) const FUNCTION_PORT: i32 = 8080;
/// Seconds, as text: Kubeless' own default.
const TIMEOUT: &str = "180";

/// A function with checked names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Whose it is.
    pub producer: Producer,
    /// The service.
    pub service: ServiceName,
    /// Its id in the project, where it has one.
    pub id: Option<LabelValue>,
    /// Digest of its directory's files, hex.
    pub digest: String,
    /// Language and version, `nodejs:8`.
    pub runtime: (String, String),
    /// Its handler.
    pub handler: String,
    /// What calls it beside its service.
    pub triggers: Vec<FunctionTrigger>,
}

/// The Kubeless `Function`, then one trigger object per trigger.
#[must_use]
pub fn function(function: &Function, settings: &Settings) -> Vec<Value> {
    let name = function_name(&function.producer, &function.service);
    let namespace = settings.namespace(function.producer.name());
    let mut labels = json!({
        "app": "kubeless-fn",
        "created-by": "kubeless",
        "env": function.producer.environment(),
        "function": name,
        "producer": function.producer.name(),
    });
    if let Some(id) = &function.id {
        labels["id"] = json!(id.as_str());
    }
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace, "labels": labels });
    let (language, version) = &function.runtime;
    let port = json!({
        "name": "http-function-port", "port": FUNCTION_PORT, "protocol": "TCP", "targetPort": FUNCTION_PORT,
    });
    let object = json!({
        "apiVersion": "kubeless.io/v1beta1",
        "kind": "Function",
        "metadata": metadata(&name),
        "spec": {
            "checksum": format!("sha256:{}", function.digest),
            "handler": function.handler,
            "runtime": format!("{language}{version}"),
            "service": { "ports": [port], "selector": { "function": name }, "type": "ClusterIP" },
            "timeout": TIMEOUT,
        },
    });
    let triggers = function.triggers.iter().enumerate().filter_map(|(at, trigger)| {
        let (kind, spec) = trigger_spec(trigger, &name)?;
        let metadata = metadata(&format!("{name}-{at}"));
        Some(json!({ "apiVersion": "kubeless.io/v1beta1", "kind": kind, "metadata": metadata, "spec": spec }))
    });
    [object].into_iter().chain(triggers).collect()
}

fn trigger_spec(trigger: &FunctionTrigger, function: &str) -> Option<(&'static str, Value)> {
    let FunctionTrigger { http, schedule, topic } = trigger;
    if let Some(path) = http {
        return Some((
            "HTTPTrigger",
            json!({ "function-name": function, "path": path.trim_start_matches('/') }),
        ));
    }
    if let Some(schedule) = schedule {
        return Some(("CronJobTrigger", json!({ "function-name": function, "schedule": schedule })));
    }
    let selector = json!({ "matchLabels": { "created-by": "kubeless", "function": function } });
    topic.as_ref().map(|topic| ("KafkaTrigger", json!({ "functionSelector": selector, "topic": topic })))
}
