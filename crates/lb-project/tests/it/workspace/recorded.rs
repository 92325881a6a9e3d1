//! What the package answered to the same requests: `tests/workspace/cases/`, recorded by `record.mjs` beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Project, json as body_of};

/// One request of a case, and what the package of this version did.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    request: String,
    body: Option<Value>,
    status: u16,
    answer: Value,
    files: BTreeMap<String, Option<String>>,
    ours: Option<Ours>,
}

/// What we do otherwise: what is given here is what we answer.
#[derive(Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Ours {
    why: String,
    status: Option<u16>,
    answer: Option<Value>,
    files: Option<BTreeMap<String, Option<String>>>,
}

/// Compares a case, and answers what differs as it would stand under `ours`.
fn differences(name: &str, exchanges: &[Exchange]) -> Vec<String> {
    let mut project = Project::example();
    let mut differing = Vec::new();
    for (at, exchange) in exchanges.iter().enumerate() {
        let Exchange { request, body, status, answer, files, ours } = exchange;
        let bytes = body.as_ref().map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let got = project.ask(request, &bytes);
        project.apply(&got);
        let ours = ours.clone();
        assert!(ours.as_ref().is_none_or(|ours| !ours.why.is_empty()), "{name} {request}: say why");
        let (ours_status, ours_answer, ours_files) =
            ours.map_or((None, None, None), |ours| (ours.status, ours.answer, ours.files));
        let changed: BTreeMap<String, Option<String>> = got
            .changes
            .iter()
            .map(|(path, bytes)| {
                (path.to_string(), bytes.clone().map(|bytes| String::from_utf8(bytes).unwrap()))
            })
            .collect();
        let mut difference = json!({ "case": name, "at": at, "request": request });
        if got.status != ours_status.unwrap_or(*status) {
            difference["status"] = json!(got.status);
        }
        if body_of(&got) != *ours_answer.as_ref().unwrap_or(answer) {
            difference["answer"] = body_of(&got);
        }
        if changed != *ours_files.as_ref().unwrap_or(files) {
            difference["files"] = json!(changed);
        }
        if difference.as_object().unwrap().len() > 3 {
            differing.push(difference.to_string());
        }
    }
    differing
}

#[test]
fn answers_are_those_of_the_package() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/workspace/cases");
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 5);
    let mut differing = Vec::new();
    for path in names {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let exchanges: Vec<Exchange> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        differing.extend(differences(name, &exchanges));
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
