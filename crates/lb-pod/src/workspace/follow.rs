//! The configstore's stream of the producer's pushes: a nudge each, and one for every time that the stream had to be opened.

use std::time::Duration;

use futures::StreamExt;
use lb_http::contract::configstore::{Configstore, PushEvent};
use lb_vocab::{ProducerName, with_causes};
use tokio::time::Instant;

use super::sync::Nudge;
use crate::identity::Repository;

/// From one attempt to the next, up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Follows the stream as long as it is polled.
pub(crate) async fn follow(
    configstore: Configstore,
    repository: Repository,
    name: ProducerName,
    nudge: Nudge,
) {
    let mut pause = BACKOFF.0;
    loop {
        let begin = Instant::now();
        match configstore.change_stream(&name).await {
            Ok(mut stream) => {
                // What happened before we listened is found by looking.
                nudge.look();
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(event) if concerns(&event, &repository) => nudge.moved_to(&event.after),
                        Ok(_) => {}
                        Err(error) => {
                            tracing::debug!(error = with_causes(&error), "the stream of pushes ended");
                            break;
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(error = with_causes(&error), "pushes of others cannot be followed"),
        }
        if begin.elapsed() > BACKOFF.1 {
            pause = BACKOFF.0;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

/// Whether the branch of our repository moved.
fn concerns(event: &PushEvent, repository: &Repository) -> bool {
    event.reference == "refs/heads/master"
        && event.repo_name == repository.name.as_str()
        && event.namespace == repository.owner.prefix.as_str()
        && event.username == repository.owner.name
}
