//! `GET /v2/channels/:producer-:env`: the state of one environment as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State as AxumState;
use axum::response::Response;
use axum::response::sse::Event;
use futures::{Stream, StreamExt};
use lb_http::auth::{Identity, MAX_LIFETIME};
use lb_http::contract::git_api::Permission;
use lb_http::error::ApiError;
use lb_http::extract::Parameters;
use lb_vocab::{Producer, TextError};

use super::Shared;
use super::hub::State;

pub(super) async fn stream(
    AxumState(app): AxumState<Shared>,
    Extension(who): Extension<Identity>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    let environment: Producer = parameters
        .get("channel")
        .parse()
        .map_err(|error: TextError| ApiError::bad_request(error.to_string()))?;
    let place = app.places.take(&who)?;
    // Who was let in may be let in no more: a person's stream is no older than the token that opened it may become.
    let patience = if who.is_system() { Duration::MAX } else { MAX_LIFETIME };
    let states = states(Listening { app: Arc::clone(&app), who, environment, state: None });
    let events = states.take_until(tokio::time::sleep(patience)).map(move |event| {
        let _place = &place;
        event
    });
    Ok(lb_http::sse::respond(events, &app.metrics, &app.shutdown))
}

/// Who listens to what.
struct Listening {
    app: Shared,
    who: Identity,
    environment: Producer,
    /// Once it was told for the first time.
    state: Option<State>,
}

impl Listening {
    /// Whether the git host's permissions still name who listens.
    async fn may_go_on(&self) -> bool {
        let name = self.environment.name();
        self.who.is_system()
            || self.app.guard.may(&self.who, name, Permission::Read).await.is_ok_and(|may| may)
    }
}

/// The state as it is, then whenever it is another one. It ends for whom the git host's permissions no longer name.
fn states(listening: Listening) -> impl Stream<Item = Event> + Send {
    futures::stream::unfold(listening, |mut listening| async move {
        let mut state = match listening.state.take() {
            Some(mut state) => {
                state.changed().await.ok()?;
                state
            }
            None => listening.app.hub.listen(&listening.environment.to_string()).await,
        };
        if !listening.may_go_on().await {
            return None;
        }
        let event = Event::default().data(&**state.borrow_and_update());
        listening.state = Some(state);
        Some((event, listening))
    })
}
