//! The project: read, merged into, made, cleared.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lb_http::auth::{Identity, Rule};
use lb_http::error::{ApiError, code};
use lb_http::extract::{Parameters, json_object};
use lb_project::ProjectFile;
use lb_project::project::{changes_switch, complete, invalid, nothing};
use lb_vocab::{Blob, Digest, Limits, Producer, Tree};
use serde_json::{Map, Value};

use super::super::starter::PROJECT_FILE;
use super::super::status::uuid;
use super::super::store::Edit;
use super::super::workspace_api::cleared;
use super::super::{Shared, Workspace};
use super::{unknown, unreadable};

/// A body at most, bytes: a project file of 4 MiB, whose text is escaped once more.
const BODY: usize = 8 << 20;

/// A project as it is answered.
pub(super) struct Found {
    project: Value,
    etag: String,
}

impl IntoResponse for Found {
    fn into_response(self) -> Response {
        let Self { project, etag } = self;
        let mut response = axum::Json(project).into_response();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        response
    }
}

/// The project file among the files; it is empty where there is none.
pub(super) fn file(tree: &Tree, producer: &Producer) -> Result<ProjectFile, ApiError> {
    let unreadable = |why: &str| {
        let message = format!("the project file cannot be read: {why}; mend it with git");
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "PROJECT_UNREADABLE", message)
    };
    let text = match tree.get(PROJECT_FILE) {
        None => String::new(),
        Some(Blob::File(content)) => {
            String::from_utf8(content.clone()).map_err(|_| unreadable("it is not UTF-8"))?
        }
        Some(Blob::Symlink | Blob::Submodule) => return Err(unreadable("it is no file")),
        Some(Blob::TooLarge { size }) => return Err(unreadable(&format!("it has {size} bytes"))),
    };
    Ok(ProjectFile::new(text, producer))
}

/// The project with the tag of its text; `None`: there is none.
fn found(file: &ProjectFile) -> Result<Option<Found>, ApiError> {
    let Some(text) = file.project_text().map_err(unreadable)? else { return Ok(None) };
    let project = file.project().map_err(unreadable)?.unwrap_or_default();
    Ok(Some(Found { project, etag: format!("\"{}\"", Digest::of(text.as_bytes()).first(32)) }))
}

/// What `If-Match` wants; `None`: any state does.
fn wanted(headers: &HeaderMap) -> Result<Option<Vec<String>>, ApiError> {
    let mut tags = Vec::new();
    for value in headers.get_all(header::IF_MATCH) {
        let text = value.to_str().map_err(|_| ApiError::bad_request("`If-Match` is no list of tags"))?;
        tags.extend(text.split(',').map(|tag| tag.trim().to_owned()).filter(|tag| !tag.is_empty()));
    }
    Ok((headers.contains_key(header::IF_MATCH)).then_some(tags))
}

/// Whether the project is as the client read it.
fn matches(wanted: Option<&[String]>, found: Option<&Found>) -> Result<(), ApiError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let good = found.is_some_and(|found| wanted.iter().any(|tag| tag == "*" || *tag == found.etag));
    if good {
        return Ok(());
    }
    let message = "somebody else changed the project meanwhile: read it again, and save what you changed";
    Err(ApiError::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", message))
}

/// What is to be done with the project.
struct Change {
    given: Map<String, Value>,
    wanted: Option<Vec<String>>,
    /// Whether whoever asks may disable and enable.
    may_switch: bool,
    /// Whether there must be no project yet.
    new: bool,
}

/// The pure part: what the files become.
fn edit(tree: &Tree, producer: &Producer, change: &Change) -> Result<Edit<Found>, ApiError> {
    let Change { given, wanted, may_switch, new } = change;
    let mut file = file(tree, producer)?;
    let before = found(&file)?;
    matches(wanted.as_deref(), before.as_ref())?;
    if *new && before.is_some() {
        let message = format!("there is a project `{producer}` already: change it with PATCH");
        return Err(ApiError::new(StatusCode::CONFLICT, "PROJECT_EXISTS", message));
    }
    if !may_switch && changes_switch(before.as_ref().map(|found| &found.project), given) {
        let message = "these credentials do not allow to disable or enable a producer: that takes admin";
        return Err(ApiError::new(StatusCode::FORBIDDEN, code::FORBIDDEN, message));
    }
    file.create().map_err(unreadable)?;
    file.merge(given).map_err(unreadable)?;
    let answer = found(&file)?.ok_or_else(|| unknown("Project", &producer.to_string()))?;
    Ok(Edit { what: "project".to_owned(), changes: vec![written(file)?], answer })
}

/// The project file as a change.
pub(super) fn written(file: ProjectFile) -> Result<(lb_vocab::SafePath, Option<Vec<u8>>), ApiError> {
    let limit = Limits::default().project_file_bytes;
    let content = file.into_text().into_bytes();
    if content.len() as u64 > limit {
        let message = format!("the project file would be larger than {limit} bytes");
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, message));
    }
    let path = PROJECT_FILE
        .parse()
        .map_err(|error: lb_vocab::TextError| ApiError::bad_request(error.to_string()))?;
    Ok((path, Some(content)))
}

impl Workspace {
    /// Whether an id in a path or a body is this workspace's.
    fn is_ours(&self, id: &str) -> Result<(), ApiError> {
        if id == self.producer.to_string() { Ok(()) } else { Err(unknown("Project", id)) }
    }

    /// What somebody wants of the project, checked as far as that does not take the files.
    async fn wished(
        &self,
        who: &Identity,
        headers: &HeaderMap,
        mut given: Map<String, Value>,
        new: bool,
    ) -> Result<Change, ApiError> {
        let problems: Vec<_> =
            invalid(&given).into_iter().map(|found| (found.place, found.code, found.message)).collect();
        if !problems.is_empty() {
            return Err(super::invalid("Project", &problems));
        }
        complete(&mut given, uuid);
        let may_switch = given.contains_key("disabled") && self.members.satisfies(Rule::Admin, who).await?;
        Ok(Change { given, wanted: wanted(headers)?, may_switch, new })
    }

    async fn change(
        &self,
        who: &Identity,
        headers: &HeaderMap,
        given: Map<String, Value>,
        new: bool,
    ) -> Result<Found, ApiError> {
        let change = self.wished(who, headers, given, new).await?;
        let (author, producer) = (self.author(who).await?, self.producer.clone());
        self.store.save(author, move |tree| edit(tree, &producer, &change)).await
    }
}

pub(super) async fn get(State(workspace): State<Shared>, parameters: Parameters) -> Result<Found, ApiError> {
    let id = parameters.get("id");
    workspace.is_ours(id)?;
    let snapshot = workspace.store.snapshot();
    found(&file(&snapshot.tree, &workspace.producer)?)?.ok_or_else(|| unknown("Project", id))
}

/// The keys that a body gives, with an id of ours.
async fn body(workspace: &Workspace, request: Request) -> Result<Map<String, Value>, ApiError> {
    let given: Map<String, Value> = json_object(request, BODY).await?;
    match given.get("id").and_then(Value::as_str) {
        Some(id) => workspace.is_ours(id).map(|()| given),
        None => Err(super::invalid("Project", &[("id".to_owned(), "presence", "can't be blank")])),
    }
}

pub(super) async fn merge(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    request: Request,
) -> Result<Found, ApiError> {
    let given = body(&workspace, request).await?;
    workspace.change(&who, &headers, given, false).await
}

pub(super) async fn create(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    request: Request,
) -> Result<Found, ApiError> {
    let given = body(&workspace, request).await?;
    workspace.change(&who, &headers, given, true).await
}

pub(super) async fn clear(
    State(workspace): State<Shared>,
    Extension(who): Extension<Identity>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<StatusCode, ApiError> {
    workspace.is_ours(parameters.get("id"))?;
    let change = workspace.wished(&who, &headers, nothing(), false).await?;
    let (author, producer) = (workspace.author(&who).await?, workspace.producer.clone());
    let view = Arc::clone(&workspace.view);
    let edit = move |tree: &Arc<Tree>| {
        let mut done = edit(tree, &producer, &change)?;
        done.changes.extend(cleared(view.at(tree).as_ref().clone()));
        Ok(done)
    };
    workspace.store.save(author, edit).await?;
    Ok(StatusCode::NO_CONTENT)
}
