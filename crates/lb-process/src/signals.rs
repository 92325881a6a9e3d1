//! Ending: SIGTERM and SIGINT end a role in order, and within a deadline.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a role may take to end: below the 30 s after which Kubernetes kills a pod.
const DEADLINE: Duration = Duration::from_secs(25);

/// A token that the first SIGTERM or SIGINT cancels.
///
/// # Errors
/// Where the system has no signals for us.
pub fn shutdown() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut term = signal(SignalKind::terminate()).context("listen to SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen to SIGINT")?;
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => tracing::info!("SIGTERM: ending"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ending"),
        }
        cancelled.cancel();
    });
    Ok(token)
}

/// Waits for a role's end; once it was asked to end, only until the deadline.
///
/// # Errors
/// What the role says, or that it did not end in time.
pub async fn within_deadline(
    role: impl Future<Output = Result<()>>,
    shutdown: &CancellationToken,
) -> Result<()> {
    let late = async {
        shutdown.cancelled().await;
        tokio::time::sleep(DEADLINE).await;
    };
    tokio::select! {
        done = role => done,
        () = late => bail!("what was under way did not end within {} s and was broken off", DEADLINE.as_secs()),
    }
}
