//! Names, paths, bodies and filters that nobody means well.

use serde_json::{Value, json};

use super::{Project, json as body};

/// Names that must not become a path outside the project, nor a name that breaks the app.
const NAMES: [&str; 16] = [
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "../x",
    "..",
    ".",
    "/etc/passwd",
    "a/../../b",
    "a\\b",
    "a\0b",
    "a\nb",
    ".git",
    "%2e%2e%2fx",
    "Ünïcödé",
    "x\u{202e}y",
];

#[test]
fn hostile_names_are_refused_with_their_name_or_are_only_keys() {
    let mut project = Project::example();
    let long = "x".repeat(5000);
    for name in NAMES.into_iter().chain([long.as_str(), ""]) {
        for (request, sent) in [
            ("POST /api/ModelDefinitions", json!({ "name": name, "facetName": "server" })),
            ("POST /api/ModelDefinitions", json!({ "name": "Good", "facetName": name })),
            ("POST /api/ModelProperties", json!({ "name": name, "modelId": "server.Car" })),
            ("POST /api/ModelProperties", json!({ "name": "good", "modelId": name })),
            ("POST /api/Facets", json!({ "name": name })),
            ("POST /api/PackageDefinitions", json!({ "name": name })),
        ] {
            let answer = project.save(request, &sent);
            assert_eq!((answer.status, answer.changes.len()), (422, 0), "{request} {name:?}");
            let error = &body(&answer)["error"];
            let kind = request.strip_prefix("POST /api/").unwrap();
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(&kind[..5]) && message.len() < 400, "{message}");
            assert!(error["details"]["codes"].as_object().is_some_and(|codes| !codes.is_empty()));
        }
        for (request, sent) in [
            (
                "POST /api/DataSourceDefinitions",
                json!({ "name": name, "facetName": "server", "connector": "memory" }),
            ),
            ("POST /api/ModelConfigs", json!({ "name": name, "facetName": "server" })),
            ("POST /api/ModelRelations", json!({ "name": name, "type": "hasMany", "modelId": "server.Car" })),
            ("POST /api/ModelMethods", json!({ "name": name, "modelId": "server.Car" })),
        ] {
            let answer = project.save(request, &sent);
            match answer.status {
                422 => assert!(answer.changes.is_empty()),
                200 => {
                    let paths: Vec<_> = answer.changes.iter().map(|(path, _)| path.as_str()).collect();
                    let known =
                        ["server/datasources.json", "server/model-config.json", "server/models/car.json"];
                    assert!(paths.iter().all(|path| known.contains(path)), "{paths:?}");
                    let id = body(&answer)["id"].as_str().unwrap().to_owned();
                    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
                    let plural = request.strip_prefix("POST ").unwrap();
                    assert_eq!(project.ask(&format!("GET {plural}/{encoded}"), b"").status, 200, "{id}");
                }
                other => panic!("{request} {name:?}: {other}"),
            }
        }
    }
}

#[test]
fn a_file_cannot_be_chosen_by_the_client() {
    let mut project = Project::example();
    for (at, file) in ["../../etc/passwd", "package.json", "server/server.js", "/x"].into_iter().enumerate() {
        let name = format!("Mo{at}");
        let sent =
            json!({ "name": name, "facetName": "server", "configFile": file, "readonly": true, "dir": file });
        let answer = project.save("POST /api/ModelDefinitions", &sent);
        let paths: Vec<_> = answer.changes.iter().map(|(path, _)| path.as_str().to_owned()).collect();
        let slug = format!("mo-{at}");
        assert_eq!(paths, [format!("server/models/{slug}.js"), format!("server/models/{slug}.json")]);
        let id = format!("server.{name}");
        let patched = project
            .save(&format!("PATCH /api/ModelDefinitions/{id}"), &json!({ "configFile": file, "x": 1 }));
        assert_eq!(patched.changes[0].0.as_str(), format!("server/models/{slug}.json"));
    }
}

#[test]
fn requests_of_any_form_have_an_answer() {
    let project = Project::example();
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("filter={}", "{\"where\":{\"and\":[".repeat(40));
    let include = "{\"include\":{\"models\":{\"facet\":{\"models\":{\"facet\":{\"models\":\"facet\"}}}}}}";
    for (request, sent, status) in [
        ("POST /api/ModelDefinitions", deep.as_bytes(), 400),
        ("POST /api/ModelDefinitions", b"{", 400),
        ("POST /api/ModelDefinitions", b"\xff", 400),
        ("POST /api/ModelDefinitions", b"null", 400),
        ("POST /api/ModelDefinitions", b"[1]", 422),
        ("POST /api/ModelDefinitions", b"[[]]", 422),
        ("POST /api/ModelDefinitions/upsertWithWhere", b"{}", 400),
        ("PATCH /api/ModelDefinitions/server.Car", b"[]", 400),
        ("PUT /api/ModelDefinitions", b"7", 400),
        ("GET /api/../../etc/passwd", b"", 404),
        ("GET /", b"", 404),
        ("GET ", b"", 404),
        ("GET /api", b"", 404),
        ("GET /api/ModelDefinitions/%00", b"", 404),
        ("GET /api/ModelDefinitions/a/b/c/d/e", b"", 404),
        ("GET /api/ModelDefinitions?%", b"", 200),
        (&format!("GET /api/ModelDefinitions?{nested}"), b"", 400),
        (&format!("GET /api/Facets?filter={include}"), b"", 400),
        ("GET /api/ModelDefinitions?filter[where][name][regexp]=(a%2B)%2B$", b"", 200),
        ("GET /api/ModelDefinitions?filter[where][name][like]=((((((a{1000}){1000}){1000})))", b"", 400),
        ("GET /api/ModelDefinitions?filter[limit]=99999999999999999999", b"", 400),
        ("GET /api/ModelDefinitions?filter[skip]=18446744073709551615", b"", 200),
        ("GET /api/ModelDefinitions?filter[__proto__][x]=1", b"", 200),
        ("GET /api/ModelDefinitions?filter[order]=__proto__", b"", 200),
        ("GET /api/ModelDefinitions?filter[fields]=constructor", b"", 200),
    ] {
        let answer = project.ask(request, sent);
        let shown = &request[..request.len().min(100)];
        assert_eq!(answer.status, status, "{shown} {}", String::from_utf8_lossy(&answer.body));
        assert!(
            answer.changes.is_empty() && serde_json::from_slice::<Value>(&answer.body).is_ok(),
            "{shown}"
        );
    }
}

#[test]
fn what_would_nest_too_deeply_is_refused_and_what_nests_enough_is_stored() {
    let mut project = Project::example();
    let nested = |depth: usize| -> Value {
        serde_json::from_str(&format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))).unwrap()
    };
    for (depth, status) in [(80, 200), (98, 422)] {
        let sent =
            json!({ "name": "deep", "type": "object", "modelId": "server.Car", "default": nested(depth) });
        let answer = project.save("POST /api/ModelProperties", &sent);
        assert_eq!(answer.status, status, "{depth} {}", String::from_utf8_lossy(&answer.body));
    }
}

#[test]
fn an_identity_cannot_be_changed() {
    let mut project = Project::example();
    for (request, sent) in [
        ("PATCH /api/ModelDefinitions/server.Car", json!({ "name": "Bus" })),
        ("PATCH /api/ModelDefinitions/server.Car", json!({ "facetName": "common" })),
        ("PUT /api/ModelDefinitions/server.Car", json!({ "id": "server.Bus" })),
        ("POST /api/ModelDefinitions/server.Car/replace", json!({ "name": "../x" })),
        ("PATCH /api/ModelProperties/server.Car.brand", json!({ "modelId": "common.Note" })),
        ("PATCH /api/DataSourceDefinitions/server.db", json!({ "name": "other" })),
        ("PATCH /api/PackageDefinitions/demo", json!({ "name": "other" })),
        ("PATCH /api/Facets/server", json!({ "name": "other" })),
    ] {
        let answer = project.save(request, &sent);
        assert_eq!((answer.status, answer.changes.len()), (400, 0), "{request} {sent}");
    }
}
