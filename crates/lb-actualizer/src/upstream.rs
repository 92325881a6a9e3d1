//! The services that the Actualizer reads from: whether they answer, since when, and what they said.
//!
//! An outage is written down once, in one place (`lunchbadger-status`), and not in every producer's status: thousands
//! of writes would be the second fault.

use std::collections::BTreeMap;
use std::sync::Mutex;

use lb_http::contract::ClientError;
use lb_vocab::{Clock, Timestamp};
use tokio::sync::Notify;

/// git-api and configstore.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where repositories are read and changes are announced.
    pub(crate) git_api: Service,
    /// Where the roster comes from.
    pub(crate) configstore: Service,
    /// Told on every change of a state.
    pub(crate) changed: std::sync::Arc<Notify>,
}

/// One service.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    clock: Clock,
    state: Mutex<State>,
    changed: std::sync::Arc<Notify>,
}

#[derive(Clone, Debug)]
struct State {
    since: Timestamp,
    failure: Option<String>,
    caught_up: bool,
}

impl Upstream {
    /// Nothing has answered yet.
    #[must_use]
    pub(crate) fn new(clock: &Clock) -> Self {
        let changed = std::sync::Arc::new(Notify::new());
        let service = |name| Service {
            name,
            clock: clock.clone(),
            state: Mutex::new(State { since: clock.now(), failure: None, caught_up: false }),
            changed: changed.clone(),
        };
        Self { git_api: service("git-api"), configstore: service("configstore"), changed: changed.clone() }
    }

    /// The states in words, by service: what `lunchbadger-status` holds.
    #[must_use]
    pub(crate) fn words(&self) -> BTreeMap<String, String> {
        [&self.git_api, &self.configstore].map(|service| (service.name.to_owned(), service.words())).into()
    }

    /// What has not been read whole even once.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = String> {
        [&self.git_api, &self.configstore]
            .into_iter()
            .filter(|service| !service.lock().caught_up)
            .map(Service::words)
    }
}

/// Begins the words for a service that answers.
const ANSWERS: &str = "answers since";
/// The words for one that nobody has heard of yet.
const WAITING: &str = "waiting for its first whole answer";

/// Whether a service's words say more than those that were noted, maybe by a process before this one: that it still
/// answers, or that nobody knows yet, is no news.
#[must_use]
pub(crate) fn is_news(noted: &str, words: &str) -> bool {
    let answers = |words: &str| words.contains(ANSWERS);
    !(words.ends_with(WAITING) || answers(noted) && answers(words))
}

impl Service {
    /// It answered well.
    pub(crate) fn answered(&self) {
        self.set(None, false);
    }

    /// It gave a whole listing: nothing that happened before is still unseen.
    pub(crate) fn caught_up(&self) {
        self.set(None, true);
    }

    /// It did not answer well. Whatever is made of its answers is held.
    pub(crate) fn failed(&self, error: &ClientError) {
        self.set(Some(error.to_string()), false);
    }

    /// Whether it gave a whole listing once.
    #[must_use]
    pub(crate) fn is_caught_up(&self) -> bool {
        self.lock().caught_up
    }

    fn set(&self, failure: Option<String>, caught_up: bool) {
        let mut state = self.lock();
        let turned = failure.is_some() != state.failure.is_some() || (caught_up && !state.caught_up);
        state.caught_up |= caught_up;
        if turned {
            match &failure {
                Some(failure) => tracing::warn!(
                    service = self.name,
                    failure,
                    "does not answer; what depends on it is held"
                ),
                None => tracing::info!(service = self.name, "answers"),
            }
            *state = State { since: self.clock.now(), failure, caught_up: state.caught_up };
            drop(state);
            self.changed.notify_one();
        }
    }

    fn words(&self) -> String {
        let State { since, failure, caught_up } = self.lock().clone();
        let seconds = since.seconds();
        match failure {
            Some(failure) => format!("{}: failing since {seconds}: {failure}", self.name),
            None if caught_up => format!("{}: {ANSWERS} {seconds}", self.name),
            None => format!("{}: {WAITING}", self.name),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_is_no_news_and_an_outage_is() {
        let clock = Clock::new(|| Timestamp(1000));
        let upstream = Upstream::new(&clock);
        let words = || upstream.git_api.words();
        let answered_before = "git-api: answers since 0";
        assert!(!is_news(answered_before, &words()));
        upstream.git_api.caught_up();
        assert!(!is_news(answered_before, &words()));
        assert!(is_news("git-api: failing since 0: connection refused", &words()));
        upstream.git_api.set(Some("connection refused".to_owned()), false);
        assert!(is_news(answered_before, &words()));
        assert!(!words().contains(ANSWERS));
    }
}
