//! What people are told of a workspace: how its app is, which instance they see, what is not pushed yet.

use std::sync::Arc;

use lb_vocab::{Clock, Producer, Timestamp};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::app::{App, AppState};
use crate::identity::Repository;

/// Branches of displaced saves that are told.
const DISPLACED: usize = 10;

/// The only id that a status has.
pub(super) const ID: u64 = 1;

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Changes when the UI must read everything anew.
    pub(super) instance: String,
    /// Commits that are not at the git host.
    pub(super) unpushed: usize,
    /// Why they are not, or why others' are not here.
    pub(super) problem: Option<String>,
    /// Branches at the git host with saves that somebody else's push displaced, the last one last.
    pub(super) displaced: Vec<String>,
    /// The app.
    pub(super) app: AppState,
}

/// Where it is written, and read. Clones are the same.
#[derive(Clone)]
pub(crate) struct Board {
    facts: Arc<watch::Sender<Facts>>,
    git: Value,
}

impl Board {
    pub(crate) fn new(repository: &Repository, producer: &Producer) -> Self {
        let facts = Facts { instance: instance(), ..Facts::default() };
        let functions = repository.url.join("functions.git").map(String::from).unwrap_or_default();
        let git = json!({
            "ws_git": repository.url.as_str(),
            "fn_git": functions,
            "sls_api": format!("http://sls-api-{producer}"),
        });
        Self { facts: Arc::new(watch::channel(facts).0), git }
    }

    /// Changes something, and tells it where it is something else.
    pub(super) fn change(&self, change: impl FnOnce(&mut Facts)) {
        self.facts.send_if_modified(|facts| {
            let before = facts.clone();
            change(facts);
            *facts != before
        });
    }

    /// Somebody else's content is there now: the UI must read it anew.
    pub(super) fn renew(&self, displaced: Option<String>) {
        self.change(|facts| {
            facts.instance = instance();
            facts.displaced.extend(displaced);
            let old = facts.displaced.len().saturating_sub(DISPLACED);
            facts.displaced.drain(..old);
        });
    }

    /// Follows what is told.
    pub(super) fn follow(&self) -> watch::Receiver<Facts> {
        self.facts.subscribe()
    }

    /// Tells how the app is, as long as it is polled.
    pub(super) async fn watch(&self, app: &App) {
        let mut state = app.state();
        loop {
            let now = state.borrow_and_update().clone();
            self.change(|facts| facts.app = now);
            if state.changed().await.is_err() {
                return;
            }
        }
    }

    /// As the API answers it.
    pub(super) fn answer(&self, facts: &Facts) -> Value {
        let Facts { instance, unpushed, problem, displaced, app } = facts;
        let (status, output) = match app {
            AppState::Unsupervised => {
                ("installing", "nobody supervises the app: its container has not connected")
            }
            AppState::Installing => ("installing", ""),
            AppState::Starting => ("installing", "the app was started and does not listen yet"),
            AppState::Running => ("running", ""),
            AppState::Crashed { output } => ("crashed", output.as_str()),
        };
        let mut answer = json!({
            "id": ID, "status": status, "output": output, "instance": instance,
            "unpushed": unpushed, "problem": problem, "displaced": displaced,
        });
        if let (Some(answer), Some(git)) = (answer.as_object_mut(), self.git.as_object()) {
            answer.extend(git.clone());
        }
        answer
    }
}

/// A text that was never used before.
pub(super) fn instance() -> String {
    hex::encode(random::<8>())
}

/// A random UUID, for entities that have no id.
pub(super) fn uuid() -> String {
    let mut bytes = random::<16>();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text = hex::encode(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        // Linux has random bytes from early at boot on.
        tracing::error!(%error, "the system has no random bytes");
    }
    bytes
}

/// A moment as a part of a branch's name: `2026-01-01T00-00-00.000Z`.
pub(super) fn moment(now: Timestamp) -> String {
    time(now).replace(':', "-")
}

/// A moment as JavaScript writes it.
pub(super) fn time(now: Timestamp) -> String {
    let time = i64::try_from(now.0).ok().and_then(|now| jiff::Timestamp::from_millisecond(now).ok());
    format!("{:.3}", time.unwrap_or_default())
}

/// When the process began, and what time it is.
#[derive(Clone, Debug)]
pub(super) struct Started {
    clock: Clock,
    at: Timestamp,
}

impl Started {
    pub(super) fn now(clock: Clock) -> Self {
        Self { at: clock.now(), clock }
    }

    /// `{started,uptime}`, uptime in seconds: what LoopBack's root answers.
    pub(super) fn answer(&self) -> Value {
        json!({ "started": time(self.at), "uptime": self.clock.now().since(self.at).as_secs_f64() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_part_of_a_branch_and_ids_are_uuids() {
        assert_eq!(time(Timestamp(1_767_225_600_007)), "2026-01-01T00:00:00.007Z");
        let branch = format!("refs/heads/lunchbadger/displaced/{}", moment(Timestamp(1_767_225_600_007)));
        assert!(branch.parse::<lb_git::RefName>().is_ok(), "{branch}");
        let (a, b) = (uuid(), uuid());
        assert!(a != b && a.len() == 36 && a.as_bytes()[14] == b'4', "{a}");
    }
}
