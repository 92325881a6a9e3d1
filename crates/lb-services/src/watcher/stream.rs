//! `GET /v2/channels/:producer-:env`: the state of one environment as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State as AxumState;
use axum::response::Response;
use axum::response::sse::Event;
use futures::{Stream, StreamExt};
use lb_http::auth::{Identity, MAX_LIFETIME};
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
    let events = states(Arc::clone(&app), environment.to_string()).map(move |event| {
        let _place = &place;
        event
    });
    // Who was let in may be let in no more: a person's stream is no older than the token that opened it may become.
    let patience = if who.is_system() { Duration::MAX } else { MAX_LIFETIME };
    let events = events.take_until(tokio::time::sleep(patience));
    Ok(lb_http::sse::respond(events, &app.metrics, &app.shutdown))
}

/// The state as it is, then whenever it is another one.
fn states(app: Shared, environment: String) -> impl Stream<Item = Event> + Send {
    futures::stream::unfold((app, environment, None::<State>), |(app, environment, listening)| async move {
        let mut listening = match listening {
            Some(mut state) => {
                state.changed().await.ok()?;
                state
            }
            None => app.hub.listen(&environment).await,
        };
        let event = Event::default().data(&**listening.borrow_and_update());
        Some((event, (app, environment, Some(listening))))
    })
}
