//! What webhooks told: repositories to look at, each once however often it is told of, and what operators are shown.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use lb_http::contract::configstore::{Deliveries as Counted, HookEvent};
use lb_vocab::{Clock, GitUser, RepoName};
use tokio::sync::Notify;

use super::App;

/// Deliveries since the start of this process.
#[derive(Debug)]
pub(super) struct Deliveries {
    clock: Clock,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeSet<(GitUser, RepoName)>,
    counted: Counted,
}

impl Deliveries {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), news: Notify::new() }
    }

    /// A delivery was signed for this repository.
    pub(super) fn accept(&self, user: GitUser, repo: RepoName) {
        let mut state = self.lock();
        state.counted.accepted += 1;
        state.counted.last_accepted = Some(self.delivery(format!("{user}/{repo}")));
        state.waiting.insert((user, repo));
        drop(state);
        self.news.notify_one();
    }

    /// A delivery was not signed as it should. Whatever its address says is cut to what a name may be.
    pub(super) fn refuse(&self, repository: Option<&str>) {
        let name: String = repository.unwrap_or("-").chars().filter(|c| !c.is_control()).take(200).collect();
        let mut state = self.lock();
        state.counted.refused += 1;
        state.counted.last_refused = Some(self.delivery(name));
    }

    /// What came so far.
    pub(super) fn counted(&self) -> Counted {
        self.lock().counted.clone()
    }

    fn delivery(&self, repository: String) -> HookEvent {
        HookEvent { repository, at: self.clock.now().0 }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has every repository looked at that a delivery names, until shutdown. One that cannot be is found by the sweep.
pub(super) async fn run(app: &App) {
    loop {
        let next = app.deliveries.lock().waiting.pop_first();
        let Some((user, repo)) = next else {
            tokio::select! {
                () = app.deliveries.news.notified() => continue,
                () = app.shutdown.cancelled() => return,
            }
        };
        if let Err(error) = app.git.look(&user, &repo).await {
            tracing::warn!(repository = %format!("{user}/{repo}"), %error, "a repository that a webhook names was not looked at");
        }
    }
}
