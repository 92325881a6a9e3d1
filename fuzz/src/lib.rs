//! What the fuzz targets do with their input: nothing may panic, hang or exhaust memory, and what is promised of every
//! answer holds.

use hmac::Mac;
use http::{HeaderMap, HeaderValue};
use lb_git::Cursor;
use lb_http::contract::hook::{self, HookKey, keyed};
use lb_project::{
    Decoded, Method, Observed, ProjectFile, Request, Workspace, decode, entity_value, read_yaml, write_yaml,
};
use lb_vocab::{
    Blob, CommitId, EntityKind, Finding, Limits, Producer, SafePath, Secret, Severity, Source, Tree,
};

/// A target's function: takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is that of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("cursor", cursor),
    ("edit", edit),
    ("functions", functions),
    ("hook", hook),
    ("loopback", loopback),
    ("openapi", openapi),
    ("path", path),
    ("project", project),
    ("serverless", serverless),
    ("workspace", workspace),
];

fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| unreachable!("`{text}` is written here, and good"))
}

fn producer() -> Producer {
    parsed("al-dev")
}

fn known(files: &[(&str, &[u8])]) -> Source<Tree> {
    let commit: CommitId = parsed(&"a".repeat(40));
    let files = files.iter().map(|(path, bytes)| (parsed(path), Blob::File(bytes.to_vec()))).collect();
    Source::Known(Tree { files }, commit)
}

fn check(dev: &[(&str, &[u8])], functions: &[(&str, &[u8])], openapi: &[(&str, &[u8])]) -> Decoded {
    let observed = Observed { dev: known(dev), functions: known(functions), openapi: known(openapi) };
    let decoded = decode(observed, &producer(), &Limits::default());
    let error = |finding: &Finding| finding.severity == Severity::Error;
    let unknown = [decoded.project.unknown(), decoded.models.unknown(), decoded.openapi.unknown()];
    assert!(
        unknown.iter().all(Option::is_none) || decoded.findings.iter().any(error),
        "held without an error"
    );
    assert!(decoded.findings.is_sorted_by(|a, b| a.place <= b.place), "findings are sorted");
    decoded
}

/// The input is `lunchbadger.json`, and the text inside one.
pub fn project(data: &[u8]) {
    check(&[("lunchbadger.json", data)], &[], &[]);
    let text = String::from_utf8_lossy(data);
    let file = serde_json::json!({ "models": { "Project": { "al-dev": text } } }).to_string();
    let decoded = check(&[("lunchbadger.json", file.as_bytes())], &[], &[]);
    for gateway in
        decoded.project.known().iter().flat_map(|project| &project.gateways).filter_map(|g| g.read())
    {
        let named = [&gateway.id, &gateway.name].into_iter().find(|name| !name.is_empty());
        let value = named.map(|name| entity_value(&file, &producer(), EntityKind::Gateway, name));
        assert!(value.is_none_or(|value| value.is_some()), "a gateway that is read has a value");
    }
}

/// The input is each file of the LoopBack project in turn.
pub fn loopback(data: &[u8]) {
    check(&[("server/model-config.json", data), ("common/models/car.json", b"{\"name\":\"Car\"}")], &[], &[]);
    check(&[("server/model-config.json", b"{\"Car\":{}}"), ("common/models/car.json", data)], &[], &[]);
    check(&[("server/datasources.json", data)], &[], &[]);
}

/// The input is `serverless.yml`.
pub fn functions(data: &[u8]) {
    check(&[], &[("hello/serverless.yml", data), ("hello/handler.js", data)], &[]);
}

/// The input is a line with a value, and the `serverless.yml` that is to say it.
pub fn serverless(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (value, old) = text.split_once('\n').unwrap_or_default();
    if let Ok(read) = read_yaml(old)
        && read.is_object()
    {
        assert_eq!(write_yaml(old, &read).as_deref(), Ok(old), "what is the same is not touched");
    }
    let Ok(value) = serde_json::from_str::<serde_json::Value>(value) else { return };
    if let Ok(written) = write_yaml(old, &value) {
        assert_eq!(read_yaml(&written), Ok(value), "what was written is there");
    }
}

/// The input is the OpenAPI document.
pub fn openapi(data: &[u8]) {
    check(&[], &[], &[("openapi.json", data)]);
}

/// The input is a pointer, a line with a value, and the file.
pub fn edit(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let pointer = lines.next().unwrap_or_default();
    let Ok(value) = serde_json::from_str::<serde_json::Value>(lines.next().unwrap_or_default()) else {
        return;
    };
    let file = ProjectFile::new(lines.next().unwrap_or_default(), &producer());
    let mut set = file.clone();
    if set.set(pointer, &value).is_ok() {
        assert_eq!(set.get(pointer), Ok(Some(value.clone())), "what was set is there");
    } else {
        assert_eq!(set, file, "an edit that failed changed nothing");
    }
    let mut added = file.clone();
    if added.add(pointer, &value).is_err() {
        assert_eq!(added, file, "an edit that failed changed nothing");
    }
    let mut removed = file.clone();
    if removed.remove(pointer).is_ok() {
        assert!(removed.text().len() < file.text().len() && removed.project().is_ok(), "something is gone");
    } else {
        assert_eq!(removed, file, "an edit that failed changed nothing");
    }
    let mut created = file;
    let _ = created.create();
}

/// The input is a cursor of the change stream.
pub fn cursor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    assert_eq!(cursor.as_str(), text, "a cursor is what was sent");
    if let Some((epoch, sequence)) = cursor.parts() {
        let again: Cursor = parsed(&format!("{epoch}-{sequence}"));
        assert_eq!(again.parts(), Some((epoch, sequence)), "an epoch and a sequence are a cursor");
    }
}

/// The input is the query of a webhook's address, both of its signatures, and its body, each on a line of its own.
pub fn hook(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let query = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for name in ["x-gitea-signature", "x-hub-signature-256"] {
        let value = lines.next().filter(|line| !line.is_empty());
        if let Some(value) = value.and_then(|line| HeaderValue::from_bytes(line).ok()) {
            headers.append(name, value);
        }
    }
    let body = lines.next().unwrap_or_default();
    let Some(repository) = hook::repository(&query) else { return };
    let secret = HookKey::new(Secret::new("k".repeat(32))).secret(&repository);
    let mut mac = keyed(&secret);
    mac.update(body);
    if let Some(signature) = hook::signature(&headers) {
        assert!(mac.clone().verify_slice(&signature).is_err(), "nobody guesses a signature");
    }
    let right = mac.finalize().into_bytes().to_vec();
    let text: String = right.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut signed = HeaderMap::new();
    for (name, value) in
        [("x-gitea-signature", text.clone()), ("x-hub-signature-256", format!("sha256={text}"))]
    {
        signed.append(name, parsed(&value));
    }
    assert_eq!(hook::signature(&signed), Some(right), "what is signed is read");
}

/// The input is a path in a tree, or a name in one.
pub fn path(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(path) = text.parse::<SafePath>() else { return };
    let joined = std::path::Path::new("/repository").join(path.as_str());
    let named = joined.components().skip(2).map(|part| part.as_os_str().to_string_lossy().into_owned());
    assert_eq!(named.collect::<Vec<_>>().join("/"), text, "every part is a name below the repository");
    assert!(!text.split('/').any(|part| part.eq_ignore_ascii_case(".git")), "git's own is out of reach");
}

/// The input is a line with method, path and query, a line with the body, and a model's file.
pub fn workspace(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let (method, target) = lines.next().unwrap_or_default().split_once(' ').unwrap_or_default();
    let Ok(method) = method.parse::<Method>() else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let body = lines.next().unwrap_or_default().as_bytes();
    let config = "{\"_meta\":{},\"Car\":{\"dataSource\":\"db\"}}";
    let mut files = std::collections::BTreeMap::from([
        (parsed("server/models/car.json"), lines.next().unwrap_or_default().as_bytes().to_vec()),
        (parsed("server/model-config.json"), config.as_bytes().to_vec()),
        (parsed("package.json"), b"{\"name\":\"demo\"}".to_vec()),
    ]);
    let (mut workspace, _) = Workspace::read(files.clone());
    let answer = workspace.answer(&Request { method, path, query, body });
    assert!(answer.changes.is_empty() || answer.status < 300, "a refusal changes nothing");
    let is_json = serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok();
    assert!(answer.body.is_empty() || is_json, "an answer is JSON");
    for (path, bytes) in answer.changes {
        workspace.update(&path, bytes.clone());
        let json = bytes.as_deref().filter(|_| path.as_str().ends_with(".json"));
        let text = json.map(|bytes| bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes));
        let whole = text.is_none_or(|text| serde_json::from_slice::<serde_json::Value>(text).is_ok());
        assert!(whole, "what is written is JSON");
        match bytes {
            Some(bytes) => drop(files.insert(path, bytes)),
            None => drop(files.remove(&path)),
        }
    }
    let (again, findings) = Workspace::read(files);
    assert_eq!(workspace.findings(), findings, "the workspace is what its files say");
    for kind in
        ["ModelDefinitions", "ModelProperties", "ModelMethods", "ModelConfigs", "DataSourceDefinitions"]
    {
        let request = Request { method: Method::Get, path: kind, query: "", body: b"" };
        assert_eq!(
            workspace.answer(&request).body,
            again.answer(&request).body,
            "the workspace is what its files say"
        );
    }
}
