//! Forecasts: a LoopBack model that is kept beside the project, in the same file. Demonstration data.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use lb_http::auth::Identity;
use lb_http::error::ApiError;
use lb_http::extract::{JSON_LIMIT, Parameters, json_object};
use lb_project::ProjectFile;
use lb_vocab::Tree;
use serde_json::{Map, Value, json};

use super::super::store::Edit;
use super::super::{Shared, Workspace};
use super::projects::{file, written};
use super::{unknown, unreadable};

const MODEL: &str = "Forecast";

type Record = Map<String, Value>;

fn record(file: &ProjectFile, id: &str) -> Result<Record, ApiError> {
    let mut records = file.records(MODEL).map_err(unreadable)?.into_iter();
    let found = records.find(|(known, _)| known == id).and_then(|(_, value)| value.as_object().cloned());
    found.ok_or_else(|| unknown(MODEL, id))
}

/// An id as a key of the file; `None`: one is to be given.
fn key(given: &Record) -> Option<String> {
    match given.get("id")? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// An id as JavaScript reads it back from the key.
fn id(key: &str) -> Value {
    key.parse::<u64>().map_or_else(|_| key.into(), Value::from)
}

impl Workspace {
    fn project_file(&self) -> Result<ProjectFile, ApiError> {
        file(&self.store.snapshot().tree, &self.producer)
    }

    /// Saves what `edit` makes of the file.
    async fn forecast<T: Send + 'static>(
        &self,
        who: &Identity,
        edit: impl FnOnce(&mut ProjectFile) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (author, producer) = (self.author(who).await?, self.producer.clone());
        let edit = move |tree: &Arc<Tree>| {
            let mut file = file(tree, &producer)?;
            let answer = edit(&mut file)?;
            Ok(Edit { what: "forecasts".to_owned(), changes: vec![written(file)?], answer })
        };
        self.store.save(author, edit).await
    }
}

fn put(file: &mut ProjectFile, key: &str, mut record: Record) -> Result<Value, ApiError> {
    record.insert("id".to_owned(), id(key));
    let value = Value::Object(record);
    file.put_record(MODEL, key, &value).map_err(unreadable)?;
    Ok(value)
}

pub(super) async fn list(State(workspace): State<Shared>) -> Result<Json<Value>, ApiError> {
    let records = workspace.project_file()?.records(MODEL).map_err(unreadable)?;
    Ok(Json(records.into_iter().map(|(_, record)| record).collect()))
}

pub(super) async fn count(State(workspace): State<Shared>) -> Result<Json<Value>, ApiError> {
    let records = workspace.project_file()?.records(MODEL).map_err(unreadable)?;
    Ok(Json(json!({ "count": records.len() })))
}

pub(super) async fn get(
    State(workspace): State<Shared>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    record(&workspace.project_file()?, parameters.get("id")).map(|record| Json(Value::Object(record)))
}

pub(super) async fn create(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let given: Record = json_object(request, JSON_LIMIT).await?;
    let made = workspace.forecast(&who, move |file| {
        let key = match key(&given) {
            Some(key) if record(file, &key).is_ok() => {
                let message = format!("Duplicate entry for {MODEL}.id");
                return Err(ApiError::new(http::StatusCode::CONFLICT, "FORECAST_EXISTS", message));
            }
            Some(key) => key,
            None => file.next_record(MODEL).map_err(unreadable)?.to_string(),
        };
        put(file, &key, given)
    });
    made.await.map(Json)
}

pub(super) async fn upsert(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let given: Record = json_object(request, JSON_LIMIT).await?;
    let made = workspace.forecast(&who, move |file| {
        let Some(key) = key(&given) else {
            let key = file.next_record(MODEL).map_err(unreadable)?.to_string();
            return put(file, &key, given);
        };
        let stands = record(file, &key).unwrap_or_default();
        put(file, &key, merged(stands, given))
    });
    made.await.map(Json)
}

/// Stores what `make` makes of a forecast as it stands and what is given.
async fn store(
    workspace: &Workspace,
    who: &Identity,
    parameters: &Parameters,
    request: Request,
    make: fn(Record, Record) -> Record,
) -> Result<Json<Value>, ApiError> {
    let (key, given) = (parameters.get("id").to_owned(), json_object::<Record>(request, JSON_LIMIT).await?);
    let made = workspace.forecast(who, move |file| {
        let stands = record(file, &key)?;
        put(file, &key, make(stands, given))
    });
    made.await.map(Json)
}

pub(super) async fn replace(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    store(&workspace, &who, &parameters, request, |_, given| given).await
}

pub(super) async fn change(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    store(&workspace, &who, &parameters, request, merged).await
}

fn merged(mut stands: Record, given: Record) -> Record {
    stands.extend(given);
    stands
}

pub(super) async fn remove(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let key = parameters.get("id").to_owned();
    let removed = workspace.forecast(&who, move |file| file.remove_record(MODEL, &key).map_err(unreadable));
    Ok(Json(json!({ "count": u8::from(removed.await?) })))
}
