//! The channel to the app's supervisor, which runs in the app's own container beside hostile code.
//!
//! It listens on the pod's loopback alone, and asks for no token, because there is none that the app could not read. So
//! whoever calls is taken for the app itself: it gets the files, which are its own, and is heard about its status and its
//! OpenAPI document, both checked and limited. The last one to connect is the supervisor, so that one who pretends to be it
//! gains nothing for long and can block nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::response::sse::Event;
use http::StatusCode;
use lb_http::contract::supervisor::{DOCUMENT_LIMIT, OUTPUT_LIMIT, Order, REPORT_LIMIT, Report, files};
use lb_http::error::{ApiError, code};
use lb_http::extract::{Parameters, json_object, read_whole};
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_vocab::CommitId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::app::{App, AppRequest, AppState, Reporter, Supervisor};
use super::openapi::Documents;
use super::status;
use super::store::{Snapshot, Store};

/// Between two supervisors.
const SESSIONS: Duration = Duration::from_millis(200);
/// Between two reports.
const REPORTS: Duration = Duration::from_millis(50);

lb_http::routes! { Shared;
    GET "/orders" Public orders, "event stream of what the supervisor is to do; whoever opened it last is the supervisor";
    GET "/files/{session}" Public get_files, "the files at the head commit, each after a line with path and size; one answer at a time";
    PUT "/state/{session}" Public put_state, "204; how the app is: `{state,output?}`; 429 for what comes too fast";
    PUT "/openapi/{session}/{commit}" Public put_document, "204; the app's OpenAPI document at that commit, checked; 422 where it is none";
}

/// What handlers of the channel share.
pub(super) struct Channel {
    pub(super) app: App,
    pub(super) store: Store,
    pub(super) documents: Documents,
    pub(super) metrics: Metrics,
    pub(super) shutdown: CancellationToken,
    pub(super) session: Mutex<Option<Session>>,
}

type Shared = Arc<Channel>;

/// Who is heard.
pub(super) struct Session {
    id: String,
    reporter: Reporter,
    begun: Instant,
    reported: Option<Instant>,
    answers: Arc<Semaphore>,
}

pub(super) fn all(seam: &Seam, channel: &Shared) -> axum::Router {
    router(seam).with_state(Arc::clone(channel))
}

fn too_fast() -> ApiError {
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, "this comes too fast").retry_after(1)
}

fn unheard() -> ApiError {
    ApiError::not_found("SESSION_NOT_FOUND", "somebody else supervises the app now")
}

impl Channel {
    /// Begins a session: whoever was the supervisor before is heard no more.
    fn begin(&self) -> Result<(String, Supervisor), ApiError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if session.as_ref().is_some_and(|session| session.begun.elapsed() < SESSIONS) {
            return Err(too_fast());
        }
        let (id, supervisor) = (status::instance(), self.app.supervise());
        *session = Some(Session {
            id: id.clone(),
            reporter: supervisor.reporter(),
            begun: Instant::now(),
            reported: None,
            answers: Arc::new(Semaphore::new(1)),
        });
        Ok((id, supervisor))
    }

    /// Does something in a session.
    fn within<T>(
        &self,
        parameters: &Parameters,
        work: impl FnOnce(&mut Session) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match session.as_mut().filter(|session| session.id == parameters.get("session")) {
            Some(session) => work(session),
            None => Err(unheard()),
        }
    }

    /// Takes the session's one place for what is large.
    fn place(&self, parameters: &Parameters) -> Result<OwnedSemaphorePermit, ApiError> {
        self.within(parameters, |session| {
            Arc::clone(&session.answers).try_acquire_owned().map_err(|_| too_fast())
        })
    }
}

/// Where a supervisor's stream of orders stands.
struct Orders {
    session: Option<String>,
    supervisor: Supervisor,
    files: watch::Receiver<Arc<Snapshot>>,
    told: Option<CommitId>,
}

impl Orders {
    async fn next(&mut self) -> Option<Order> {
        if let Some(id) = self.session.take() {
            self.files.mark_changed();
            return Some(Order::Session { id });
        }
        loop {
            tokio::select! {
                request = self.supervisor.next() => return Some(match request? {
                    AppRequest::Restart => Order::Restart,
                    AppRequest::Reinstall => Order::Reinstall,
                }),
                changed = self.files.changed() => {
                    changed.ok()?;
                    let head = self.files.borrow_and_update().head.clone();
                    if let Some(commit) = head.filter(|head| Some(head) != self.told.as_ref()) {
                        self.told = Some(commit.clone());
                        return Some(Order::Files { commit });
                    }
                }
            }
        }
    }
}

async fn orders(State(channel): State<Shared>) -> Result<Response, ApiError> {
    let (id, supervisor) = channel.begin()?;
    tracing::info!("the app's supervisor has connected");
    let orders = Orders { session: Some(id), supervisor, files: channel.store.follow(), told: None };
    let events = futures::stream::unfold(orders, |mut orders| async move {
        let event = Event::default().json_data(orders.next().await?).ok()?;
        Some((event, orders))
    });
    Ok(lb_http::sse::respond(events, &channel.metrics, &channel.shutdown))
}

async fn get_files(State(channel): State<Shared>, parameters: Parameters) -> Result<Response, ApiError> {
    let place = channel.place(&parameters)?;
    let snapshot = channel.store.snapshot();
    let Some(commit) = snapshot.head.clone() else {
        return Err(ApiError::not_found("COMMIT_NOT_FOUND", "the repository has no commit yet"));
    };
    let pieces = files(commit, Arc::clone(&snapshot.tree));
    let pieces = futures::StreamExt::map(pieces, move |piece| {
        let _place = &place;
        Ok::<_, std::convert::Infallible>(piece)
    });
    Ok(Response::new(Body::from_stream(pieces)))
}

async fn put_state(
    State(channel): State<Shared>,
    parameters: Parameters,
    request: Request,
) -> Result<StatusCode, ApiError> {
    // Before the body is read: a flood costs nothing.
    let reporter = channel.within(&parameters, |session| {
        if session.reported.is_some_and(|before| before.elapsed() < REPORTS) {
            return Err(too_fast());
        }
        session.reported = Some(Instant::now());
        Ok(session.reporter.clone())
    })?;
    let state = match json_object(request, REPORT_LIMIT).await? {
        Report::Installing => AppState::Installing,
        Report::Starting => AppState::Starting,
        Report::Running => AppState::Running,
        Report::Crashed { output } => AppState::Crashed { output: end(&output) },
    };
    if reporter.report(state) {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(unheard())
}

/// The end of a text, [`OUTPUT_LIMIT`] at most, without control characters other than those of lines.
fn end(text: &str) -> String {
    let from = text.len().saturating_sub(OUTPUT_LIMIT);
    let from = (from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    text[from..].chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\u{1b}')).collect()
}

async fn put_document(
    State(channel): State<Shared>,
    parameters: Parameters,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let commit: CommitId = parameters.parsed("commit")?;
    let _place = channel.place(&parameters)?;
    let document = read_whole(request, DOCUMENT_LIMIT).await?;
    channel.documents.offer(commit, document)?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_output_its_end_is_kept() {
        assert_eq!(end("a\u{0}b\r\n"), "ab\n");
        let long = format!("{}ü", "ä".repeat(OUTPUT_LIMIT));
        let kept = end(&long);
        assert!(kept.len() <= OUTPUT_LIMIT && kept.ends_with("äü"), "{}", kept.len());
    }
}
