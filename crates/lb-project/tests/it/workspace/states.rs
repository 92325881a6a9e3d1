//! What the contract says beyond the package, the files that come of it, and projects that are not well.

use lb_project::{PackageChange, Workspace};
use serde_json::{Value, json};

use super::{Project, json as body};

fn get(project: &Project, request: &str) -> Value {
    let answer = project.ask(&format!("GET {request}"), b"");
    assert_eq!(answer.status, 200, "{request}: {}", String::from_utf8_lossy(&answer.body));
    body(&answer)
}

fn ids(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[test]
fn a_read_changes_nothing_and_a_save_says_what_it_is() {
    let mut project = Project::example();
    let read = project.ask("GET /workspace-api/api/ModelDefinitions/server.Car", b"");
    assert!(read.changes.is_empty() && read.what.is_empty() && read.packages.is_empty());
    let one = project.save("POST /api/ModelDefinitions", &json!({ "name": "Bus", "facetName": "server" }));
    assert_eq!(one.what, "ModelDefinition server.Bus");
    let paths: Vec<_> = one.changes.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["server/models/bus.js", "server/models/bus.json"]);
    let list: Vec<_> = (0..5).map(|n| json!({ "name": format!("p{n}"), "modelId": "server.Bus" })).collect();
    let many = project.save("POST /api/ModelProperties", &json!(list));
    assert_eq!(
        many.what,
        "ModelProperty server.Bus.p0, ModelProperty server.Bus.p1, ModelProperty server.Bus.p2 and 2 more"
    );
    assert_eq!(many.changes.len(), 1, "one save, one file");
    // The same again changes nothing.
    let again = project.save("POST /api/ModelProperties", &json!(list));
    assert!(again.status == 200 && again.changes.is_empty() && again.what.is_empty());
}

#[test]
fn methods_of_two_models_may_have_one_name() {
    let mut project = Project::example();
    for (model, is_static) in [("server.Car", true), ("common.Note", false)] {
        let method = json!({ "name": "drive", "isStatic": is_static, "modelId": model });
        assert_eq!(project.save("POST /api/ModelMethods", &method).status, 200);
    }
    // `Car` has a static `drive` and an instance's.
    assert_eq!(
        ids(&get(&project, "/api/ModelMethods")),
        ["common.Note.drive", "server.Car.drive", "server.Car.list", "server.Car.prototype.drive"]
    );
    assert_eq!(get(&project, "/api/ModelMethods/server.Car.drive")["isStatic"], true);
    assert_eq!(get(&project, "/api/ModelMethods/server.Car.prototype.drive")["isStatic"], false);
    assert_eq!(get(&project, "/api/ModelMethods/common.Note.prototype.drive")["id"], "common.Note.drive");
    assert_eq!(get(&project, "/api/ModelMethods/list")["id"], "server.Car.list");
    assert_eq!(project.ask("GET /api/ModelMethods/drive", b"").status, 404, "the bare name is not unique");
    assert!(project.text("server/models/car.json").contains("\"prototype.drive\": {"));
    let posted = json!({ "name": "prototype.park", "modelId": "server.Car" });
    assert_eq!(body(&project.save("POST /api/ModelMethods", &posted))["isStatic"], false);
    // A method that becomes static moves.
    project.save("PATCH /api/ModelMethods/server.Car.park", &json!({ "isStatic": true }));
    assert!(project.text("server/models/car.json").contains("\"park\": {}"));
    assert!(!project.text("server/models/car.json").contains("prototype.park"));
}

#[test]
fn connectors_come_and_go_with_their_data_sources() {
    let mut project = Project::example();
    let source =
        |name: &str, connector: &str| json!({ "name": name, "facetName": "server", "connector": connector });
    let packages = |changes: &[PackageChange]| format!("{changes:?}");
    let first = project.save("POST /api/DataSourceDefinitions", &source("a", "mysql"));
    assert!(
        packages(&first.packages).starts_with("[Install(")
            && packages(&first.packages).contains("loopback-connector-mysql")
    );
    assert!(project.text("package.json").contains("\"loopback-connector-mysql\": \"^5"));
    let second = project.save("POST /api/DataSourceDefinitions", &source("b", "loopback-connector-mysql"));
    assert!(second.packages.is_empty(), "it is there already");
    assert!(project.save("DELETE /api/DataSourceDefinitions/server.a", &Value::Null).packages.is_empty());
    let last = project.save("DELETE /api/DataSourceDefinitions/server.b", &Value::Null);
    assert!(packages(&last.packages).starts_with("[Remove("));
    assert!(!project.text("package.json").contains("mysql"));
    for harmless in ["memory", "./own", "--global", "git+ssh://x"] {
        let answer = project.save("POST /api/DataSourceDefinitions", &source("c", harmless));
        assert!(answer.status == 200 || harmless != "memory");
        assert!(answer.packages.is_empty(), "{harmless}");
    }
    // Without a package.json, or with one that is broken, the answer says it alone.
    for package in [None, Some("{")] {
        let files = package.map(|text| ("package.json", text)).into_iter().collect::<Vec<_>>();
        let mut project = Project::with(&files);
        let answer = project.save("POST /api/DataSourceDefinitions", &source("a", "mongodb"));
        assert_eq!((answer.status, answer.packages.len(), answer.changes.len()), (200, 1, 1));
    }
}

#[test]
fn one_broken_file_is_reported_and_never_written_and_the_others_are_served() {
    let mut project = Project::with(&[
        ("server/model-config.json", "{\"Car\": {\"dataSource\": \"db\"},}"),
        ("server/datasources.json", "{\"db\": {\"connector\": \"memory\"}}"),
        ("server/models/car.json", "{\"name\": \"Car\"}"),
        ("server/models/bus.json", "{\"name\": \"Bus\""),
        ("server/models/nameless.json", "{}"),
        ("server/models/list.json", "[]"),
    ]);
    let findings: Vec<String> = project.workspace.findings().iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 4, "{findings:#?}");
    assert!(
        findings[0].starts_with("dev/server/model-config.json:1:30: error: it is not JSON"),
        "{findings:#?}"
    );
    assert!(
        findings[1].starts_with("dev/server/models/bus.json:1:14: error: it is not JSON"),
        "{findings:#?}"
    );
    assert_eq!(ids(&get(&project, "/api/Facets/server/models")), ["server.Car"]);
    assert_eq!(ids(&get(&project, "/api/Facets/server/datasources")), ["server.db"]);
    assert_eq!(get(&project, "/api/Facets/server/modelConfigs"), json!([]));
    let config = json!({ "name": "Car", "facetName": "server", "dataSource": "db" });
    for (request, sent) in [
        ("POST /api/ModelConfigs", config),
        ("POST /api/ModelDefinitions", json!({ "name": "Bus", "facetName": "server" })),
        ("POST /api/ModelDefinitions", json!({ "name": "Nameless", "facetName": "server" })),
    ] {
        let answer = project.save(request, &sent);
        assert_eq!(answer.status, 422, "{request} {sent}");
        assert!(answer.changes.is_empty());
        let message = body(&answer)["error"]["message"].to_string();
        assert!(message.contains("cannot be changed") && message.contains("Mend it first"), "{message}");
    }
    // What is whole is still written, and a broken file is healed by a push.
    assert_eq!(project.save("PATCH /api/ModelDefinitions/server.Car", &json!({ "plural": "C" })).status, 200);
    assert_eq!(project.text("server/models/car.json"), "{\"name\": \"Car\", \"plural\": \"C\"}");
    let path = "server/model-config.json".parse().unwrap();
    project.workspace.update(&path, Some(b"{\"Car\": {}, \"Bad\": false}".to_vec()));
    assert_eq!(ids(&get(&project, "/api/ModelConfigs")), ["server.Car"]);
    assert_eq!(project.workspace.findings()[0].code, "NotAnObject");
}

#[test]
fn a_file_keeps_its_style_and_what_nobody_knows() {
    let car = "{\n\t\"zeta\": {\"a\":1},\n\t\"name\": \"Car\",\n\t\"base\": \"Model\",\n\t\"properties\": {\n\t\t\"x\": \"string\", \"y\": {\"type\":\"number\",  \"mine\": 1.50}\n\t},\n\t\"mixins\": {\"T\": true}\n}";
    let mut project = Project::with(&[("server/models/car.json", car)]);
    let requests = [
        ("PATCH /api/ModelProperties/server.Car.y", json!({ "required": true })),
        ("PATCH /api/ModelProperties/server.Car.x", json!({ "required": true })),
        ("POST /api/ModelProperties", json!({ "name": "z", "type": "date", "modelId": "server.Car" })),
        (
            "POST /api/ModelRelations",
            json!({ "name": "r", "type": "hasMany", "model": "Bus", "modelId": "server.Car" }),
        ),
        ("PATCH /api/ModelDefinitions/server.Car", json!({ "plural": "Cars" })),
        ("DELETE /api/ModelProperties/server.Car.x", Value::Null),
    ];
    for (request, sent) in requests {
        assert_eq!(project.save(request, &sent).status, 200, "{request}");
    }
    assert_eq!(
        project.text("server/models/car.json"),
        "{\n\t\"zeta\": {\"a\":1},\n\t\"name\": \"Car\",\n\t\"plural\": \"Cars\",\n\t\"base\": \"Model\",\n\t\"properties\": {\n\t\t\"y\": {\"type\":\"number\",  \"required\": true, \"mine\": 1.50},\n\t\t\"z\": {\n\t\t\t\"type\": \"date\"\n\t\t}\n\t},\n\t\"mixins\": {\"T\": true},\n\t\"relations\": {\n\t\t\"r\": {\n\t\t\t\"type\": \"hasMany\",\n\t\t\t\"model\": \"Bus\"\n\t\t}\n\t}\n}"
    );
}

#[test]
fn two_files_of_one_model_are_one_model() {
    let text = "{\"name\": \"Car\", \"plural\": \"first\"}";
    let mut project = Project::with(&[
        ("server/models/a.json", text),
        (
            "server/models/b.json",
            "{\"name\": \"Car\", \"plural\": \"second\", \"properties\": {\"x\": \"string\"}}",
        ),
        ("server/models/car.js", ""),
        ("server/models/a.js", ""),
    ]);
    assert_eq!(project.workspace.findings()[0].code, "ModelTwice");
    assert_eq!(get(&project, "/api/ModelDefinitions/server.Car")["plural"], "first");
    assert_eq!(get(&project, "/api/ModelProperties/count?where[modelId]=server.Car")["count"], 0);
    let mut moved = project.clone();
    moved.workspace.update(&"server/models/a.json".parse().unwrap(), None);
    assert_eq!(get(&moved, "/api/ModelDefinitions/server.Car")["plural"], "second");
    assert_eq!(get(&moved, "/api/ModelProperties/server.Car.x")["type"], "string");
    // A file of another name would be taken.
    let taken = project.save("POST /api/ModelDefinitions", &json!({ "name": "A", "facetName": "server" }));
    assert_eq!(taken.status, 422);
    assert!(body(&taken)["error"]["message"].to_string().contains("server/models/a.json"));
    let gone = project.save("DELETE /api/ModelDefinitions/server.Car", &Value::Null);
    let paths: Vec<_> = gone.changes.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["server/models/a.js", "server/models/a.json", "server/models/b.json"]);
}

#[test]
fn loopbacks_own_models_are_listed_and_read_only_and_may_be_replaced_by_the_project() {
    let mut project = Project::with(&[]);
    assert_eq!(get(&project, "/api/ModelDefinitions/count?where[readonly]=true")["count"], 11);
    for (request, sent) in [
        ("PATCH /api/ModelDefinitions/common.User", json!({ "plural": "x" })),
        ("POST /api/ModelDefinitions", json!({ "id": "common.User", "name": "User", "facetName": "common" })),
        ("POST /api/ModelProperties", json!({ "name": "x", "modelId": "common.User" })),
        ("DELETE /api/ModelProperties/common.User.email", Value::Null),
        ("DELETE /api/ModelDefinitions/common.User/properties", Value::Null),
        ("DELETE /api/ModelDefinitions/common.User", Value::Null),
    ] {
        let answer = project.save(request, &sent);
        assert_eq!((answer.status, answer.changes.len()), (403, 0), "{request}");
        assert_eq!(body(&answer)["error"]["code"], "READ_ONLY");
    }
    let path = "common/models/user.json".parse().unwrap();
    project.workspace.update(&path, Some(b"{\"name\": \"User\", \"plural\": \"Folk\"}".to_vec()));
    assert_eq!(get(&project, "/api/ModelDefinitions/common.User")["plural"], "Folk");
    assert_eq!(get(&project, "/api/ModelDefinitions/common.User/properties"), json!([]));
    project.workspace.update(&path, None);
    assert_eq!(get(&project, "/api/ModelDefinitions/common.User/properties/count")["count"], 6);
}

#[test]
fn a_new_facet_gets_its_files_and_an_empty_project_takes_a_model() {
    let mut project = Project::with(&[]);
    assert_eq!(get(&project, "/api/Facets"), json!([{ "name": "common" }]));
    let made = project
        .save("POST /api/Facets", &json!({ "name": "admin", "modelsMetadata": { "sources": ["./models"] } }));
    assert_eq!(made.status, 200);
    assert_eq!(
        project.text("admin/model-config.json"),
        "{\n  \"_meta\": {\n    \"sources\": [\n      \"./models\"\n    ]\n  }\n}\n"
    );
    assert_eq!(get(&project, "/api/Facets/admin")["modelsMetadata"]["sources"], json!(["./models"]));
    for sent in
        [json!({ "name": "Car", "facetName": "server" }), json!({ "name": "Bus", "facetName": "admin" })]
    {
        assert_eq!(project.save("POST /api/ModelDefinitions", &sent).status, 200);
    }
    let config = json!({ "name": "Car", "facetName": "server", "dataSource": null });
    assert_eq!(project.save("POST /api/ModelConfigs", &config).status, 200);
    assert_eq!(
        project.text("server/model-config.json"),
        "{\n  \"Car\": {\n    \"dataSource\": null\n  }\n}\n"
    );
    assert_eq!(get(&project, "/api/Facets").as_array().unwrap().len(), 3);
    for request in ["DELETE /api/Facets/admin", "DELETE /api/Facets/common"] {
        assert_eq!(project.save(request, &Value::Null).status, 403);
    }
}

#[test]
fn only_files_of_the_layout_are_wanted() {
    for (path, wanted) in
        [("server/models/car.json", true), ("server/models/car.js", true), ("README.md", false)]
    {
        assert_eq!(Workspace::wants(&path.parse().unwrap()), wanted, "{path}");
    }
}
