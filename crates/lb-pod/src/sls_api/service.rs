//! Services: the directories of the clone, each a `serverless.yml` and the files beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use http::StatusCode;
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_http::extract::{Parameters, json_object};
use lb_project::{YamlError, check_functions, read_yaml, write_yaml};
use lb_vocab::{Blob, Producer, SafePath, Severity, Tree};
use serde_json::{Map, Value, json};

use super::templates::{self, New};
use super::{Shared, SlsApi};
use crate::tree::{BODY, Wanted, check, tree};
use crate::workspace::store::Edit;
use crate::workspace::{Changes, author};

/// What a service is read from.
const SERVERLESS: &str = "serverless.yml";
/// Errors that are told at once.
const ERRORS: usize = 10;
/// Longest name of a function's Kubernetes Service, `fn-<producer>-<env>-<name>`.
const MAX_NAME: usize = 63;

pub(super) async fn ping(State(api): State<Shared>) -> Json<Value> {
    let uptime = api.clock.now().since(api.started).as_secs_f64();
    Json(json!({ "uptime": uptime, "unpushed": api.store.snapshot().unpushed }))
}

/// What cannot be answered because nothing of ours runs functions.
pub(super) async fn unavailable() -> ApiError {
    let message = "nothing runs functions yet: services are kept in git, and not deployed";
    ApiError::new(StatusCode::NOT_IMPLEMENTED, "FUNCTIONS_UNAVAILABLE", message)
}

pub(super) async fn list(State(api): State<Shared>) -> Result<Json<Value>, ApiError> {
    let files = Arc::clone(&api.store.snapshot().tree);
    // Whoever pushes says how much there is to read: others do not wait for it.
    let all = move || services(&files).into_iter().map(|(name, files)| service(&files, name)).collect();
    let all = tokio::task::spawn_blocking(all).await;
    all.map(Json).map_err(|_| {
        let message = "a defect of this service: see its log";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", message)
    })
}

pub(super) async fn get(State(api): State<Shared>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let (name, files) = (parameters.get("name"), Arc::clone(&api.store.snapshot().tree));
    found(&files, name)
}

pub(super) async fn create(
    State(api): State<Shared>,
    Extension(who): Extension<Identity>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let body = body(request).await?;
    let (name, env) = (text(&body, "name")?.to_owned(), text(&body, "env")?);
    let version = version(&body)?;
    good_name(&api.producer, &name)?;
    let runtime = templates::find(env, &version).ok_or_else(|| {
        let known = templates::known();
        invalid("env", &format!("there is no template for this runtime in this version; there are {known}"))
    })?;
    let kept = body.get("lunchbadger").filter(|kept| !kept.is_null());
    if kept.is_some_and(|kept| !kept.is_object()) {
        return Err(invalid("lunchbadger", "it must be an object"));
    }
    let new = New {
        producer: &api.producer,
        namespace: &api.namespace,
        name: &name,
        version: &version,
        lunchbadger: kept,
    };
    let serverless = write_yaml("", &runtime.serverless(&new)).map_err(|error| unwritable(&error))?;
    let texts = runtime.files(&version).map(|(file, text)| (file, text.to_owned()));
    let texts = texts.into_iter().chain([(SERVERLESS, serverless)]);
    let mut changes = Changes::new();
    for (file, text) in texts {
        changes.push((path(&name, file)?, Some(text.into_bytes())));
    }
    let edit = {
        let (name, producer) = (name.clone(), api.producer.clone());
        move |files: &Tree| {
            if has(files, &name) {
                let message = format!("there is a service `{name}` already");
                return Err(ApiError::new(StatusCode::CONFLICT, "SERVICE_EXISTS", message));
            }
            refuse_new_errors(files, &changes, &name, &producer)?;
            Ok(changes)
        }
    };
    save(&api, &who, &name, edit).await?;
    found(&api.store.snapshot().tree, &name)
}

pub(super) async fn put(
    State(api): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let name = parameters.get("name").to_owned();
    let mut body = body(request).await?;
    let serverless = body.remove("serverless").unwrap_or_default();
    if !serverless.is_object() {
        return Err(invalid("serverless", "it must be an object: what `serverless.yml` is to say"));
    }
    let tree = match body.remove("files").unwrap_or_default() {
        Value::Object(tree) => tree,
        Value::Null => Map::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(invalid("files", "it must be a tree: names to texts, to trees, or to null"));
        }
    };
    if tree.contains_key(SERVERLESS) {
        return Err(invalid(
            "files",
            &format!("`{SERVERLESS}` is what `serverless` says: leave it out here"),
        ));
    }
    let wanted = Wanted::of(&format!("{name}/"), tree)?;
    let (producer, file) = (api.producer.clone(), path(&name, SERVERLESS)?);
    let edit = {
        let name = name.clone();
        move |files: &Tree| {
            let own = services(files).remove(name.as_str()).ok_or_else(|| unknown(&name))?;
            let old = readable(&own, &name)?;
            let text = write_yaml(old, &serverless).map_err(|error| unwritable(&error))?;
            let mut changes = wanted.changes(files);
            changes.push((file, Some(text.into_bytes())));
            refuse_new_errors(files, &changes, &name, &producer)?;
            Ok(changes)
        }
    };
    save(&api, &who, &name, edit).await?;
    found(&api.store.snapshot().tree, &name)
}

pub(super) async fn remove(
    State(api): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let name = parameters.get("name").to_owned();
    let edit = {
        let (directory, name) = (format!("{name}/"), name.clone());
        move |files: &Tree| {
            // A path of several names, or a hidden one, is no service.
            let some = has(files, &name);
            Ok(removed(files, |path| some && path.starts_with(&directory)))
        }
    };
    save(&api, &who, &name, edit).await.map(told)
}

pub(super) async fn remove_all(
    State(api): State<Shared>,
    Extension(who): Extension<Identity>,
) -> Result<Json<Value>, ApiError> {
    let edit = |files: &Tree| {
        let services = services(files);
        Ok(removed(files, |path| path.split_once('/').is_some_and(|(name, _)| services.contains_key(name))))
    };
    save(&api, &who, "all", edit).await.map(told)
}

/// Saves what an edit makes of the files; answers whether that is anything.
async fn save(
    api: &SlsApi,
    who: &Identity,
    name: &str,
    edit: impl FnOnce(&Tree) -> Result<Changes, ApiError> + Send + 'static,
) -> Result<bool, ApiError> {
    let (author, what) = (author(&api.members, who).await?, format!("functions ({})", name.escape_debug()));
    let edit = move |files: &Arc<Tree>| {
        let changes = edit(files)?;
        let some = !changes.is_empty();
        Ok(Edit { what, changes, answer: some })
    };
    api.store.save(author, edit).await
}

fn told(some: bool) -> Json<Value> {
    Json(json!({ "msg": if some { "REMOVED" } else { "ALREADY_REMOVED" } }))
}

fn removed(files: &Tree, which: impl Fn(&str) -> bool) -> Changes {
    files.files.keys().filter(|path| which(path.as_str())).map(|path| (path.clone(), None)).collect()
}

/// The files of one service.
type Files<'a> = Vec<(&'a SafePath, &'a Blob)>;

/// The directories with their files, but for hidden ones, which are tools' own.
fn services(files: &Tree) -> BTreeMap<&str, Files<'_>> {
    let mut services = BTreeMap::<_, Files<'_>>::new();
    for (path, blob) in &files.files {
        if let Some((name, _)) = path.as_str().split_once('/').filter(|(name, _)| !name.starts_with('.')) {
            services.entry(name).or_default().push((path, blob));
        }
    }
    services
}

fn has(files: &Tree, name: &str) -> bool {
    services(files).contains_key(name)
}

/// A service as it is answered.
fn found(files: &Tree, name: &str) -> Result<Json<Value>, ApiError> {
    let files = services(files).remove(name).ok_or_else(|| unknown(name))?;
    Ok(Json(service(&files, name)))
}

/// The text of a service's `serverless.yml`, where it has one.
fn yaml_text<'a>(files: &Files<'a>, name: &str) -> Result<&'a str, String> {
    let file = format!("{name}/{SERVERLESS}");
    match files.iter().find(|(path, _)| path.as_str() == file).map(|(_, blob)| *blob) {
        Some(Blob::File(content)) => std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned()),
        Some(Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. }) => {
            Err("it is no file of a readable size".to_owned())
        }
        None => Err("there is none".to_owned()),
    }
}

/// The same for who is about to write it; of a service that has none, an empty text. What cannot be read is not overwritten:
/// nobody who asked here has seen it.
fn readable<'a>(files: &Files<'a>, name: &str) -> Result<&'a str, ApiError> {
    let file = format!("{name}/{SERVERLESS}");
    if !files.iter().any(|(path, _)| path.as_str() == file) {
        return Ok("");
    }
    let text = yaml_text(files, name)
        .and_then(|text| read_yaml(text).map(|_| text).map_err(|error: YamlError| error.to_string()));
    text.map_err(|problem| {
        let message =
            format!("`{file}` stays as it is: {problem}; repair it with git, or remove the service");
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "SERVICE_UNREADABLE", message)
            .named("ValidationError")
    })
}

/// What is answered of a service. What cannot be read is told, and the files are shown all the same.
fn service(files: &Files<'_>, name: &str) -> Value {
    let mut shown = tree(files.iter().copied(), &format!("{name}/"));
    shown.remove(SERVERLESS);
    let read =
        yaml_text(files, name).and_then(|text| read_yaml(text).map_err(|error: YamlError| error.to_string()));
    match read {
        Ok(serverless) => json!({ "serverless": serverless, "files": shown }),
        Err(problem) => {
            let problem = format!("{name}/{SERVERLESS}: {problem}");
            json!({ "serverless": null, "files": shown, "problem": problem })
        }
    }
}

/// The errors that a service has, as they are found where functions are deployed.
fn errors(files: &Tree, producer: &Producer) -> BTreeSet<String> {
    let found = check_functions(files, producer).into_iter();
    let errors = found.filter(|found| found.severity == Severity::Error);
    errors.map(|found| format!("{} ({})", found.message, found.place.pointer)).collect()
}

/// Refuses what is wrong after a change and was not before: old mistakes are no reason to refuse a new save.
fn refuse_new_errors(
    files: &Tree,
    changes: &Changes,
    name: &str,
    producer: &Producer,
) -> Result<(), ApiError> {
    let directory = format!("{name}/");
    let own = files.files.iter().filter(|(path, _)| path.as_str().starts_with(&directory));
    let before = Tree { files: own.map(|(path, blob)| (path.clone(), outline(path, blob))).collect() };
    let mut after = before.clone();
    for (path, content) in changes {
        match content {
            Some(content) => after.files.insert(path.clone(), Blob::File(content.clone())),
            None => after.files.remove(path),
        };
    }
    let before = errors(&before, producer);
    let new = errors(&after, producer).into_iter().filter(|error| !before.contains(error));
    let new: Vec<String> = new.take(ERRORS).collect();
    if new.is_empty() { Ok(()) } else { Err(invalid("serverless", &new.join("; "))) }
}

/// What counts of a file where errors are looked for: of all but one that it is there.
fn outline(path: &SafePath, blob: &Blob) -> Blob {
    match blob {
        Blob::File(_) if !path.as_str().ends_with(SERVERLESS) => Blob::File(Vec::new()),
        Blob::File(_) | Blob::Symlink | Blob::Submodule | Blob::TooLarge { .. } => blob.clone(),
    }
}

/// 422: a part of the body and what is wrong with it.
fn invalid(part: &str, why: &str) -> ApiError {
    let message = format!("`{part}` does not do: {why}");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID", message).named("ValidationError")
}

fn unwritable(error: &YamlError) -> ApiError {
    invalid("serverless", &error.to_string())
}

fn unknown(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::not_found("SERVICE_NOT_FOUND", format!("there is no service `{}`", name.escape_debug()))
}

/// A JSON object.
async fn body(request: Request) -> Result<Map<String, Value>, ApiError> {
    json_object(request, BODY).await
}

fn text<'a>(body: &'a Map<String, Value>, key: &str) -> Result<&'a str, ApiError> {
    let text = body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| invalid(key, "it must be a text"))
}

/// `"8"`, and 8 as some clients write it.
fn version(body: &Map<String, Value>) -> Result<String, ApiError> {
    match body.get("version") {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            Err(invalid("version", "it must be a text, as `8`"))
        }
    }
}

/// Whether a name does for a new service: it becomes a part of objects' names.
fn good_name(producer: &Producer, name: &str) -> Result<(), ApiError> {
    check(name, name)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(plain) || name.starts_with('-') || name.ends_with('-') {
        return Err(invalid("name", "a-z, 0-9 and `-` are possible, and no `-` at an end"));
    }
    let length = format!("fn-{producer}-{name}").len();
    if length > MAX_NAME {
        let over = length - MAX_NAME;
        return Err(invalid(
            "name",
            &format!("it is {over} characters too long for the names of its objects"),
        ));
    }
    Ok(())
}

fn path(name: &str, file: &str) -> Result<SafePath, ApiError> {
    format!("{name}/{file}").parse().map_err(|_| unknown(name))
}
