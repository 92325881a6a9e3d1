//! Following git-api's one stream of changes, for everybody who listens here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use lb_http::contract::git_api::{Change, ChangeEvent, ChangeKind};
use tokio::sync::{OnceCell, broadcast};

use super::{App, external};

/// Changes that wait for a slow listener; one that is slower is sent away, and comes back with its last event id.
const WAITING: usize = 64;
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A push, and whether it is external: found out at most once, and only where somebody listens.
#[derive(Debug)]
pub(super) struct Push {
    pub(super) change: Change,
    external: OnceCell<bool>,
}

impl Push {
    /// The change as a push that producers' streams tell; `None` for anything else. References of the platform's
    /// own are nobody's workspace.
    pub(super) fn of(change: Change) -> Option<Self> {
        match &change.kind {
            ChangeKind::Push { reference, .. } if !reference.starts_with("refs/lunchbadger/") => {
                Some(Self { change, external: OnceCell::new() })
            }
            ChangeKind::Push { .. } | ChangeKind::Created | ChangeKind::Deleted => None,
        }
    }

    pub(super) async fn is_external(&self, app: &App) -> bool {
        let ChangeKind::Push { before, after, .. } = &self.change.kind else { return true };
        let Some(repo) = &self.change.repo else { return true };
        let ask =
            || external::is_external(&app.git, &self.change.user, repo, before.as_ref(), after.as_ref());
        *self.external.get_or_init(ask).await
    }
}

/// Who listens to which producer.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// The stream of git-api was open at least once.
    pub(super) connected: AtomicBool,
    producers: Mutex<HashMap<String, broadcast::Sender<Arc<Push>>>>,
}

impl Followers {
    /// Pushes to the repositories of this git user, from now on.
    pub(super) fn subscribe(&self, login: &str) -> broadcast::Receiver<Arc<Push>> {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        producers.entry(login.to_owned()).or_insert_with(|| broadcast::channel(WAITING).0).subscribe()
    }

    fn tell(&self, change: Change) {
        let mut producers = self.producers.lock().unwrap_or_else(PoisonError::into_inner);
        let login = change.user.to_string();
        let Some(listeners) = producers.get(&login) else { return };
        let Some(push) = Push::of(change) else { return };
        // It fails where nobody listens any more.
        if listeners.send(Arc::new(push)).is_err() {
            producers.remove(&login);
        }
    }
}

/// Follows until shutdown. The cursor survives reconnecting, so that nothing is missed; what is repeated is a nudge
/// more.
pub(super) async fn run(app: &App) {
    let mut cursor = None;
    let mut pause = SHORTEST_PAUSE;
    loop {
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            opened = once(app, &mut cursor) => if opened { pause = SHORTEST_PAUSE },
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// One connection, from opening to its end. Answers whether it opened.
async fn once(app: &App, cursor: &mut Option<String>) -> bool {
    let mut stream = match app.git.change_stream(cursor.as_deref()).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(%error, source = ?std::error::Error::source(&error), "cannot follow git-api's changes");
            return false;
        }
    };
    app.followers.connected.store(true, Ordering::Relaxed);
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChangeEvent::Change(change)) => {
                *cursor = Some(change.cursor.clone());
                // Without the key no delivery is accepted, so that none is missing.
                if app.hook_key.is_some() {
                    app.repairs.happened(&change);
                }
                app.followers.tell(change);
            }
            Ok(ChangeEvent::Reset(reset)) => {
                *cursor = Some(reset.cursor);
                app.repairs.reset();
                reset.changes.into_iter().for_each(|change| app.followers.tell(change));
            }
            Err(error) => {
                tracing::info!(%error, "git-api's stream of changes broke off");
                break;
            }
        }
    }
    true
}
