//! A producer of a known shape, made by code: what benches measure with.
//!
//! One that is [`Shape::standard`] has two gateways with 50 API endpoints together, 20 models and 5 functions.

use serde_json::{Value, json};

use crate::project::written;

/// What changes whenever the files of a producer would: whatever is kept of them is keyed by it.
pub const VERSION: u32 = 1;

/// Pipelines of each gateway.
const PIPELINES: usize = 5;

/// How large a producer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Gateways.
    pub gateways: usize,
    /// API endpoints of all gateways together.
    pub endpoints: usize,
    /// Models.
    pub models: usize,
    /// Functions.
    pub functions: usize,
}

impl Shape {
    /// The producer of all figures.
    #[must_use]
    pub fn standard() -> Self {
        Self { gateways: 2, endpoints: 50, models: 20, functions: 5 }
    }
}

/// The files of one repository: path and content.
pub type Files = Vec<(String, String)>;

/// The files of `dev`. Another `round` is the same project with another path in each of the first gateway's endpoints.
#[must_use]
pub fn dev(producer: &str, shape: Shape, round: usize) -> Files {
    let project = project(&format!("{producer}-dev"), shape, round);
    let mut files = vec![("lunchbadger.json".to_owned(), written(producer, &project))];
    let mut config = json!({"_meta": {"sources": ["../common/models", "./models"]}});
    for index in 0..shape.models {
        let name = format!("Model{index}");
        config[&name] = json!({"dataSource": "store", "public": index % 2 == 0});
        files.push((format!("common/models/model-{index}.json"), format!("{:#}\n", model(&name, index))));
        files.push((format!("common/models/model-{index}.js"), "module.exports = function () {};\n".into()));
    }
    files.push(("server/model-config.json".to_owned(), format!("{config:#}\n")));
    let sources = json!({"store": {"name": "store", "connector": "memory"}});
    files.push(("server/datasources.json".to_owned(), format!("{sources:#}\n")));
    files
}

/// The files of `functions`.
#[must_use]
pub fn functions(producer: &str, shape: Shape) -> Files {
    let of = |index: usize| {
        let name = format!("task{index}");
        let description = format!(
            "service: {name}\nprovider: {{ name: kubeless, runtime: \"nodejs:8\" }}\n\
             functions: {{ fn-{producer}-dev-{name}: {{ handler: handler.run }} }}\nlunchbadger: {{ id: function-{index} }}\n"
        );
        let code = format!("exports.run = () => 'task {index}';\n");
        [(format!("{name}/serverless.yml"), description), (format!("{name}/handler.js"), code)]
    };
    (0..shape.functions).flat_map(of).collect()
}

fn model(name: &str, index: usize) -> Value {
    json!({
        "name": name, "plural": format!("{}s", name.to_lowercase()), "base": "PersistedModel", "idInjection": true,
        "properties": {
            "title": {"type": "string", "required": true}, "text": {"type": "string"},
            "size": {"type": "number"}, "made": {"type": "date"},
        },
        "validations": [], "relations": {}, "acls": [], "methods": {}, "lunchbadgerId": format!("model-{index}"),
    })
}

fn project(key: &str, shape: Shape, round: usize) -> Value {
    let mut gateways = Vec::new();
    let (mut services, mut endpoints, mut connections) = (Vec::new(), Vec::new(), Vec::new());
    for gateway in 0..shape.gateways {
        let pipelines = (0..PIPELINES).map(|index| pipeline(gateway, index)).collect::<Vec<_>>();
        gateways.push(json!({
            "id": format!("gateway-{gateway}"), "name": format!("main{gateway}"), "dnsPrefix": format!("main{gateway}"),
            "http": {"port": 8080}, "policies": ["cors", "log", "proxy", "rate-limit"], "pipelines": pipelines,
        }));
        for index in 0..PIPELINES {
            let name = format!("service-{gateway}-{index}");
            services
                .push(json!({"id": name, "name": name, "urls": [format!("https://{name}.example.com/v2")]}));
            connections.push(connection(connections.len(), &name, &format!("pipeline-{gateway}-{index}")));
        }
    }
    for index in 0..shape.endpoints {
        let (gateway, id) = (index % shape.gateways, format!("endpoint-{index}"));
        let pipeline = format!("pipeline-{gateway}-{}", index / shape.gateways % PIPELINES);
        let more = if gateway == 0 { format!("/round-{round}") } else { String::new() };
        let paths = [format!("/things-{index}{more}"), format!("/things-{index}{more}/*")];
        endpoints
            .push(json!({"id": id, "name": id, "host": "*", "paths": paths, "methods": ["GET", "POST"]}));
        connections.push(connection(connections.len(), &pipeline, &id));
    }
    json!({
        "id": key, "name": "main", "gateways": gateways, "serviceEndpoints": services, "apiEndpoints": endpoints,
        "connections": connections, "apis": [], "functions": [], "microServices": [], "states": [], "portals": [],
    })
}

fn connection(index: usize, from: &str, to: &str) -> Value {
    json!({"id": format!("connection-{index}"), "fromId": from, "toId": to})
}

fn pipeline(gateway: usize, index: usize) -> Value {
    let proxy = json!({"serviceEndpoint": format!("service-{gateway}-{index}"), "changeOrigin": true, "stripPath": true});
    json!({
        "id": format!("pipeline-{gateway}-{index}"), "name": format!("pipeline{index}"),
        "policies": [
            {"cors": [{"action": {"origin": "*", "methods": "GET,HEAD,POST"}}]},
            {"rate-limit": [{"action": {"max": 60, "windowMs": 60_000}}]},
            {"log": [{"condition": {"name": "pathExact", "path": "/debug"}, "action": {"message": "somebody looks"}}]},
            {"proxy": [{"condition": {}, "action": proxy}]},
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_producer_has_the_shape_of_all_figures() {
        let files = dev("al", Shape::standard(), 0);
        let file: Value = serde_json::from_str(&files[0].1).unwrap();
        let text = file["models"]["Project"]["al-dev"].as_str().unwrap();
        let project: Value = serde_json::from_str(text).unwrap();
        assert_eq!(project["gateways"].as_array().unwrap().len(), 2);
        assert_eq!(project["apiEndpoints"].as_array().unwrap().len(), 50);
        assert_eq!(
            files
                .iter()
                .filter(|(path, _)| path.starts_with("common/models/model-") && path.ends_with(".json"))
                .count(),
            20
        );
        assert_eq!(functions("al", Shape::standard()).len(), 10);
        assert_ne!(dev("al", Shape::standard(), 1), files);
    }
}
