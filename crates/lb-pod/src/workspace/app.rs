//! The producer's app, as far as the API container knows it: what its supervisor says, and what it is asked to do.
//!
//! The supervisor runs in the app's own container. As long as none is connected the state is [`AppState::Unsupervised`], and
//! requests are refused rather than lost.

use tokio::sync::{mpsc, watch};

/// How the app is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AppState {
    /// Nobody supervises it.
    #[default]
    Unsupervised,
    /// Its dependencies are being installed.
    Installing,
    /// It was started and does not listen yet.
    Starting,
    /// It runs, and listens.
    Running,
    /// It ended, with its last words.
    Crashed {
        /// What it printed.
        output: String,
    },
}

/// What the supervisor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppRequest {
    /// Start the app anew.
    Restart,
    /// Install its dependencies anew, then start it.
    Reinstall,
}

/// Who supervises the app now.
#[derive(Debug)]
struct Current {
    number: u64,
    requests: mpsc::Sender<AppRequest>,
}

/// The app. Clones are the same one.
#[derive(Clone, Debug)]
pub struct App {
    state: watch::Sender<AppState>,
    supervisor: watch::Sender<Option<Current>>,
}

/// Who supervises the app, as long as this lives.
#[derive(Debug)]
pub struct Supervisor {
    reporter: Reporter,
    requests: mpsc::Receiver<AppRequest>,
}

/// Says how the app is, as long as its supervisor is the current one.
#[derive(Clone, Debug)]
pub struct Reporter {
    app: App,
    number: u64,
}

impl Default for App {
    fn default() -> Self {
        Self { state: watch::channel(AppState::default()).0, supervisor: watch::channel(None).0 }
    }
}

impl App {
    /// Becomes the app's supervisor; whoever was it before is heard no more.
    #[must_use]
    pub fn supervise(&self) -> Supervisor {
        // More than these wait for nothing: each of them does what the others ask for.
        let (sender, requests) = mpsc::channel(16);
        let mut number = 0;
        self.supervisor.send_modify(|current| {
            number = current.as_ref().map_or(0, |current| current.number + 1);
            *current = Some(Current { number, requests: sender });
        });
        Supervisor { reporter: Reporter { app: self.clone(), number }, requests }
    }

    /// Follows how the app is.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<AppState> {
        self.state.subscribe()
    }

    /// Asks the supervisor; answers whether there is one. One that is busy with as much has heard enough.
    #[must_use]
    pub fn ask(&self, request: AppRequest) -> bool {
        match &*self.supervisor.borrow() {
            None => false,
            Some(Current { number: _, requests }) => {
                !matches!(requests.try_send(request), Err(mpsc::error::TrySendError::Closed(_)))
            }
        }
    }
}

impl Reporter {
    /// Says how the app is; answers whether it was heard.
    pub fn report(&self, state: AppState) -> bool {
        let supervisor = self.app.supervisor.borrow();
        let current = supervisor
            .as_ref()
            .is_some_and(|current| current.number == self.number && !current.requests.is_closed());
        if current {
            self.app.state.send_if_modified(|now| {
                let changes = *now != state;
                *now = state;
                changes
            });
        }
        current
    }
}

impl Supervisor {
    /// Says how the app is.
    pub fn report(&self, state: AppState) {
        self.reporter.report(state);
    }

    /// Says how the app is, for whoever hears the supervisor's reports elsewhere.
    #[must_use]
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// The next request; `None` where somebody else supervises now.
    pub async fn next(&mut self) -> Option<AppRequest> {
        self.requests.recv().await
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.requests.close();
        let Reporter { app, number } = &self.reporter;
        let ours = app.supervisor.borrow().as_ref().is_none_or(|current| current.number == *number);
        if ours {
            app.state.send_replace(AppState::Unsupervised);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_supervisor_the_state_says_so_and_requests_are_refused() {
        let app = App::default();
        assert_eq!(
            (app.ask(AppRequest::Restart), app.state().borrow().clone()),
            (false, AppState::Unsupervised)
        );
        let mut first = app.supervise();
        first.report(AppState::Running);
        assert!(app.ask(AppRequest::Reinstall));
        assert_eq!(first.next().await, Some(AppRequest::Reinstall));
        let second = app.supervise();
        assert_eq!(first.next().await, None);
        let late = first.reporter();
        drop(first);
        assert!(!late.report(AppState::Installing));
        assert_eq!(*app.state().borrow(), AppState::Running, "somebody else supervises");
        drop(second);
        assert_eq!(
            (app.ask(AppRequest::Restart), app.state().borrow().clone()),
            (false, AppState::Unsupervised)
        );
    }
}
