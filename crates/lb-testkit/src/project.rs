//! `lunchbadger.json` from a short description.

use serde_json::{Value, json};

/// A gateway with one pipeline that proxies these paths to one service.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its id in the project.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Paths of its one API endpoint.
    pub paths: Vec<String>,
}

impl Gateway {
    /// One with these paths.
    #[must_use]
    pub fn new(id: &str, name: &str, paths: &[&str]) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }
}

/// A project file of `producer` in `dev`.
#[must_use]
pub fn file(producer: &str, gateways: &[Gateway], disabled: bool) -> String {
    written(producer, &project(producer, gateways, disabled))
}

/// A project of `producer` in `dev` as its file's text: JSON inside JSON.
pub(crate) fn written(producer: &str, project: &Value) -> String {
    let key = format!("{producer}-dev");
    let file = json!({"ids": {"Project": 1}, "models": {"Project": {(key): project.to_string()}}});
    format!("{file:#}\n")
}

fn project(producer: &str, gateways: &[Gateway], disabled: bool) -> Value {
    let of = |gateway: &Gateway, what: &str| format!("{}-{what}", gateway.id);
    let pipelines = |gateway: &Gateway| {
        json!([{
            "id": of(gateway, "pipeline"),
            "name": "main",
            "policies": [{"proxy": [{"action": {"serviceEndpoint": of(gateway, "service"), "changeOrigin": true}}]}],
        }])
    };
    let list = |make: &dyn Fn(&Gateway) -> Value| gateways.iter().map(make).collect::<Vec<_>>();
    let mut project = json!({
        "id": format!("{producer}-dev"),
        "name": "main",
        "gateways": list(&|g| json!({"id": g.id, "name": g.name, "dnsPrefix": g.name, "policies": ["proxy"], "pipelines": pipelines(g)})),
        "serviceEndpoints": list(&|g| json!({"id": of(g, "service"), "name": "backend", "urls": ["http://backend.example.com"]})),
        "apiEndpoints": list(&|g| json!({"id": of(g, "endpoint"), "name": "paths", "host": "*", "paths": g.paths})),
        "connections": list(&|g| json!({"id": of(g, "connection"), "fromId": of(g, "pipeline"), "toId": of(g, "endpoint")})),
        "apis": [], "functions": [], "microServices": [], "states": [], "portals": [],
    });
    if disabled {
        project["disabled"] = Value::Bool(true);
    }
    project
}
