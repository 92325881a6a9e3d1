//! Any requests in any order: no panic, nothing changed beside what is named, nothing lost that nobody knows, and the
//! workspace is what the files say.

use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::Project;

const KINDS: [&str; 11] = [
    "Facets",
    "FacetSettings",
    "ComponentConfigs",
    "PackageDefinitions",
    "DataSourceDefinitions",
    "ModelConfigs",
    "ModelDefinitions",
    "ModelProperties",
    "ModelRelations",
    "ModelMethods",
    "ModelAccessControls",
];
const IDS: [&str; 14] = [
    "server",
    "common",
    "demo",
    "server.Car",
    "server.db",
    "server.port",
    "server.New",
    "common.Note",
    "common.User",
    "server.Car.brand",
    "server.Car.drive",
    "server.Car.0",
    "server.Car.owner",
    "common.Note.title",
];
const TAILS: [&str; 14] = [
    "",
    "/count",
    "/exists",
    "/properties",
    "/relations",
    "/methods",
    "/accessControls",
    "/models",
    "/modelConfigs",
    "/datasources",
    "/facet",
    "/replace",
    "/properties/server.Car.brand",
    "/models/server.Car",
];
const QUERIES: [&str; 8] = [
    "",
    "?filter[include]=properties&filter[include]=methods",
    "?filter={\"where\":{\"name\":{\"like\":\"%25a\"}},\"limit\":2}",
    "?filter[order]=name%20DESC&filter[fields]=name",
    "?where[name]=Car",
    "?where={\"facetName\":\"server\"}",
    "?filter[include]=models",
    "?filter={",
];

fn target() -> impl Strategy<Value = String> {
    let collection = (
        select(&KINDS[..]),
        select(&["", "", "/findOne", "/count", "/replaceOrCreate", "/upsertWithWhere", "/update"][..]),
    );
    let member = (select(&KINDS[..]), select(&IDS[..]), select(&TAILS[..]));
    let path = prop_oneof![
        collection.prop_map(|(kind, tail)| format!("/api/{kind}{tail}")),
        member.prop_map(|(kind, id, tail)| format!("/api/{kind}/{id}{tail}")),
        "/[a-zA-Z./%]{0,20}",
    ];
    (path, select(&QUERIES[..])).prop_map(|(path, query)| format!("{path}{query}"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&["Car", "New", "a-b", "a_b", "../x", "", "db", "mysql", "memory", "string", "é"][..])
            .prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!({ "a": [1, { "b": null }] })),
        Just(json!(["x"])),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let keys = [
        "id",
        "name",
        "facetName",
        "modelId",
        "type",
        "isStatic",
        "isId",
        "connector",
        "permission",
        "value",
        "index",
        "properties",
        "acls",
        "plural",
        "disableInherit",
        "modelsMetadata",
        "__proto__",
        "configFile",
        "unknown",
    ];
    let base = select(vec![
        json!({}),
        json!({ "name": "New", "facetName": "server", "connector": "mysql" }),
        json!({ "name": "Car", "facetName": "server", "id": "server.Car" }),
        json!({ "name": "brand", "modelId": "server.Car", "type": "belongsTo", "permission": "ALLOW" }),
        json!({ "name": "drive", "modelId": "server.Car", "isStatic": true }),
        json!({ "id": "server.Car.brand", "type": "number" }),
    ]);
    (base, prop::collection::vec((select(keys.to_vec()), value()), 0..3)).prop_map(|(mut base, changes)| {
        for (key, value) in changes {
            base[key] = value;
        }
        base
    })
}

fn body() -> impl Strategy<Value = Value> {
    prop_oneof![6 => object(), 1 => prop::collection::vec(object(), 0..3).prop_map(Value::from), 1 => value()]
}

fn request() -> impl Strategy<Value = (String, Value)> {
    let method = select(&["GET", "HEAD", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE"][..]);
    (method, target(), body()).prop_map(|(method, target, body)| (format!("{method} {target}"), body))
}

/// What the workspace says of everything.
fn everything(project: &Project) -> Vec<String> {
    let ask = |kind| String::from_utf8(project.ask(&format!("GET /api/{kind}"), b"").body).unwrap();
    KINDS.iter().map(ask).collect()
}

/// A project with what nobody knows in every file.
fn marked() -> &'static Project {
    static MARKED: OnceLock<Project> = OnceLock::new();
    MARKED.get_or_init(mark)
}

fn mark() -> Project {
    let mut project = Project::example();
    let files: Vec<_> =
        project.files.keys().filter(|path| path.as_str().ends_with(".json")).cloned().collect();
    for path in files {
        let text = project.text(path.as_str()).trim_end().strip_suffix("\n}").unwrap().to_owned();
        let key = if path.as_str().ends_with("datasources.json") { "mark" } else { "_mark" };
        let text = format!("{text},\n  \"{key}\": {{ \"of\":\"{path}\",\"n\":1.50 }}\n}}\n");
        project.files.insert(path, text.into_bytes());
    }
    Project::of(project.files)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn any_requests_are_answered_and_nothing_else_changes(requests in prop::collection::vec(request(), 1..12)) {
        let mut project = marked().clone();
        for (request, body) in requests {
            let before = everything(&project);
            let bytes = body.to_string();
            let answer = project.ask(&request, bytes.as_bytes());
            prop_assert_eq!(&answer, &project.ask(&request, bytes.as_bytes()), "the same question has the same answer");
            prop_assert_eq!(before, everything(&project));
            let read = request.starts_with("GET") || request.starts_with("HEAD");
            prop_assert!(answer.changes.is_empty() || !read && answer.status < 300, "{} {}", request, answer.status);
            prop_assert!(answer.what.is_empty() == answer.changes.is_empty(), "{} {:?}", request, answer.what);
            let empty = request.starts_with("HEAD") || answer.status == 204;
            prop_assert!(answer.body.is_empty() == empty, "{} {}", request, answer.status);
            project.apply(&answer);
            for (path, bytes) in &answer.changes {
                let Some(bytes) = bytes else {
                    prop_assert!(path.as_str().contains("/models/"), "{} is never removed", path);
                    continue;
                };
                let text = std::str::from_utf8(bytes).unwrap();
                if path.as_str().ends_with(".json") {
                    prop_assert!(serde_json::from_str::<Value>(text).is_ok(), "{}", text);
                }
                // What replaces an entity as a whole says all of it; every other change leaves what nobody knows.
                let whole = match path.as_str() {
                    "package.json" => request.contains("PackageDefinitions"),
                    "server/datasources.json" => request.starts_with("DELETE"),
                    model if model.contains("/models/") => {
                        request.contains("/ModelDefinitions") || request.contains("/models")
                    }
                    _ => false,
                };
                let mark = format!("{{ \"of\":\"{path}\",\"n\":1.50 }}");
                let unmarked = !marked().files.contains_key(path) || !path.as_str().ends_with(".json");
                prop_assert!(whole || unmarked || text.contains(&mark), "{} {}", request, text);
            }
            // However it came to its state, the workspace is what its files say.
            let again = Project::of(project.files.clone());
            prop_assert_eq!(everything(&project), everything(&again));
            prop_assert_eq!(project.workspace.findings(), again.workspace.findings());
        }
    }

    /// Files that come and go by pushes, broken ones among them.
    #[test]
    fn updates_lead_where_reading_leads(
        changes in prop::collection::vec((select(&[
            "server/models/car.json", "server/models/a.json", "server/models/z.json", "common/models/user.json",
            "server/model-config.json", "server/datasources.json", "package.json", "extra/config.json", "server/models/x.js",
        ][..]), prop::option::of(select(&[
            "{}", "{", "[]", "{\"name\":\"Car\"}", "{\"name\":\"User\",\"properties\":{\"x\":\"string\",\"y\":null}}",
            "{\"name\":\"Car\",\"acls\":[{},{}],\"methods\":{\"prototype.a\":{},\"a\":{}},\"relations\":[]}",
            "{\"_meta\":{\"sources\":[]},\"Car\":{},\"x\":7}", "\u{feff}{\"name\":\"B\"}", "{\"name\":\"a.b\",\"properties\":{\"c.d\":{}}}",
        ][..]))), 1..15),
    ) {
        let mut project = Project::example();
        for (path, text) in changes {
            let path: lb_vocab::SafePath = path.parse().unwrap();
            let bytes = text.map(|text| text.as_bytes().to_vec());
            project.workspace.update(&path, bytes.clone());
            match bytes {
                Some(bytes) => drop(project.files.insert(path, bytes)),
                None => drop(project.files.remove(&path)),
            }
            let again = Project::of(project.files.clone());
            prop_assert_eq!(everything(&project), everything(&again));
            prop_assert_eq!(project.workspace.findings(), again.workspace.findings());
        }
    }
}
