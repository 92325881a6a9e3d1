//! A circuit breaker: while Gitea does not answer, most requests fail at once instead of waiting for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lb_vocab::{Clock, Timestamp};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open at first.
const SHORTEST: Duration = Duration::from_millis(500);
/// How long it stays open at most; each probe that fails doubles the time.
const LONGEST: Duration = Duration::from_secs(15);

/// Whether requests are let through.
#[derive(Debug)]
pub(super) struct Breaker {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failures: u32,
    open_for: Duration,
    /// Open until then; the first request afterwards is the probe.
    until: Option<Timestamp>,
}

impl Breaker {
    /// Closed: everything is let through.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::new(State { failures: 0, open_for: SHORTEST, until: None }) }
    }

    /// Whether a request may be sent now; otherwise how long none may. Whoever may, reports how it went.
    pub(super) fn admit(&self) -> Result<(), Duration> {
        let mut state = self.lock();
        let now = self.clock.now();
        match state.until {
            Some(until) if now < until => Err(until.since(now)),
            Some(_) => {
                // This one is the probe: the others wait for what it finds.
                state.until = Some(now.plus(state.open_for));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether everything is let through.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().until.is_none()
    }

    /// Gitea answered something of its own.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        if state.until.take().is_some() {
            tracing::info!("Gitea answers again");
        }
        (state.failures, state.open_for) = (0, SHORTEST);
    }

    /// It did not.
    pub(super) fn failed(&self) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return;
        }
        if state.failures == FAILURES {
            tracing::warn!("Gitea failed {FAILURES} times in a row: for a while it is asked rarely");
        } else {
            state.open_for = (state.open_for * 2).min(LONGEST);
        }
        state.until = Some(self.clock.now().plus(state.open_for));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lb_testkit::clock::ManualClock;

    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_lets_one_probe_through_at_a_time() {
        let clock = ManualClock::default();
        let breaker = Breaker::new(clock.clock());
        for _ in 0..FAILURES - 1 {
            breaker.failed();
        }
        breaker.answered();
        for _ in 0..FAILURES {
            assert_eq!(breaker.admit(), Ok(()));
            breaker.failed();
        }
        assert_eq!((breaker.admit(), breaker.is_closed()), (Err(SHORTEST), false));
        clock.advance(SHORTEST);
        assert_eq!(breaker.admit(), Ok(()), "the probe");
        assert!(breaker.admit().is_err(), "nobody beside it");
        breaker.failed();
        assert_eq!(breaker.admit(), Err(SHORTEST * 2));
        clock.advance(SHORTEST * 2);
        assert_eq!(breaker.admit(), Ok(()));
        breaker.answered();
        assert!(breaker.is_closed());
        assert_eq!((breaker.admit(), breaker.admit()), (Ok(()), Ok(())));
    }

    #[test]
    fn it_never_stays_open_longer_than_the_limit() {
        let clock = ManualClock::default();
        let breaker = Breaker::new(clock.clock());
        for _ in 0..100 {
            breaker.failed();
        }
        assert_eq!(breaker.admit(), Err(LONGEST));
    }
}
