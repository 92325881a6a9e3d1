//! The Project API (4230): the project, the files, the status of the workspace.

mod files;
mod forecasts;
mod projects;
mod state;

use http::StatusCode;
use lb_http::error::ApiError;
use lb_http::route::Seam;
use lb_project::EditError;
use serde_json::json;

use super::Shared;

lb_http::routes! { Shared;
    GET "/" Public state::root, "`{started,uptime}`: the clone is here, and its APIs answer";
    GET "/api/Projects/{id}" Read projects::get, "the project, with an `ETag`";
    PATCH "/api/Projects" Write projects::merge, "the project, into which the given keys were merged; 412 where `If-Match` names another state; changing `disabled` takes admin";
    PUT "/api/Projects" Write projects::merge, "the same";
    POST "/api/Projects" Write projects::create, "the project, where there was none; 409 where there is one";
    POST "/api/Projects/{id}/clear" Write projects::clear, "204; every entity list of the project is empty, and its models, their configuration and its data sources are gone";
    GET "/api/Forecasts" Read forecasts::list, "array of the forecasts";
    POST "/api/Forecasts" Write forecasts::create, "the new forecast";
    PUT "/api/Forecasts" Write forecasts::upsert, "the forecast, made where it has no id";
    PATCH "/api/Forecasts" Write forecasts::upsert, "the same";
    GET "/api/Forecasts/count" Read forecasts::count, "`{count}`";
    GET "/api/Forecasts/{id}" Read forecasts::get, "the forecast";
    PUT "/api/Forecasts/{id}" Write forecasts::replace, "the forecast, replaced";
    PATCH "/api/Forecasts/{id}" Write forecasts::change, "the forecast, into which the given keys were merged";
    DELETE "/api/Forecasts/{id}" Write forecasts::remove, "`{count}` of what was removed";
    GET "/api/WorkspaceFiles/files" Read files::get, "`{files}`: the tree of the text files that are not hidden";
    PUT "/api/WorkspaceFiles/files" Write files::put, "`{}`; writes the tree `{files}`, in which null removes; 422 for a name that is refused";
    GET "/api/WorkspaceStatus/ping" Read state::ping, "204";
    GET "/api/WorkspaceStatus/change-stream" Read state::stream, "event stream of the status: events `data` with `{target,data,type}`";
    GET "/api/WorkspaceStatus/{id}" Read state::get, "`{id,status,output,instance,unpushed,problem,displaced,ws_git,fn_git,sls_api}`; the id is 1";
    POST "/api/WorkspaceStatus/restart" Admin state::restart, "204; the app is started anew; 503 where nobody supervises it";
    POST "/api/WorkspaceStatus/reinstall" Admin state::reinstall, "204; its dependencies are installed anew; 503 where nobody supervises it";
    POST "/api/WorkspaceStatus/hard-reset" Admin state::hard_reset, "204; the files are those of the git host, what was not pushed is on a branch there";
    POST "/api/WorkspaceStatus/self-destruct" Admin state::self_destruct, "204; the container pushes, ends, and is started anew";
}

pub(super) fn all(seam: &Seam, workspace: &Shared) -> axum::Router {
    router(seam).with_state(workspace.clone())
}

/// 422 in LoopBack's words: what is wrong with which part of an instance of `model`.
fn invalid(model: &str, found: &[(String, &str, &str)]) -> ApiError {
    let list: Vec<String> = found.iter().map(|(place, _, message)| format!("`{place}` {message}")).collect();
    let message = format!("The `{model}` instance is not valid. Details: {}.", list.join("; "));
    let by_place = |part: fn(&(String, &str, &str)) -> String| {
        let mut map = serde_json::Map::new();
        for found in found {
            if let Some(list) = map.entry(&found.0).or_insert_with(|| json!([])).as_array_mut() {
                list.push(part(found).into());
            }
        }
        map
    };
    let details = json!({
        "context": model,
        "codes": by_place(|(_, code, _)| (*code).to_owned()),
        "messages": by_place(|(_, _, message)| (*message).to_owned()),
    });
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID", message)
        .named("ValidationError")
        .details(details)
}

/// 404 as LoopBack has it.
fn unknown(model: &str, id: &str) -> ApiError {
    let id: String = id.chars().take(100).collect();
    ApiError::not_found("MODEL_NOT_FOUND", format!("Unknown \"{model}\" id \"{id}\"."))
}

/// What is told of a project file that cannot be edited: it is left as it is.
fn unreadable(error: EditError) -> ApiError {
    match error {
        EditError::NoProject { key } => unknown("Project", &key),
        EditError::Unreadable(_)
        | EditError::PointerMalformed { .. }
        | EditError::NotFound { .. }
        | EditError::WholeProject => {
            ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "PROJECT_UNREADABLE", error.to_string())
        }
    }
}
