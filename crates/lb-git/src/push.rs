//! What every host does with a push: what its pusher is told.

use std::time::Duration;

use tokio::time::timeout;

use crate::types::{ReceivedHook, RefUpdate};

/// How long the pusher waits for what `on_received` has to say.
const REMARKS: Duration = Duration::from_secs(10);

/// What the caller has to tell the pusher. Whatever goes wrong with it, the push is accepted and the pusher learns so.
pub(crate) async fn remarks(on_received: Option<ReceivedHook>, moved: Vec<RefUpdate>) -> Vec<String> {
    let Some(on_received) = on_received.filter(|_| !moved.is_empty()) else { return Vec::new() };
    let mut task = tokio::spawn(async move { on_received(moved).await });
    match timeout(REMARKS, &mut task).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(error)) => {
            tracing::error!(%error, "what a push should be told is lost");
            Vec::new()
        }
        Err(_) => {
            task.abort();
            Vec::new()
        }
    }
}

/// Why a push is refused that has more than so many bytes.
pub(crate) fn too_large(limit: u64) -> String {
    format!("the push is larger than {}", size(limit))
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        _more => format!("{} MiB", bytes >> 20),
    }
}
