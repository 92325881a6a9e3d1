//! Clocks for tests: one that is moved by hand, and the system's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use lb_process::clock::system;
use lb_vocab::{Clock, Timestamp};

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl Default for ManualClock {
    /// Stands at 2026-01-01T00:00:00Z.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1_767_225_600_000)))
    }
}

impl ManualClock {
    /// What the code under test takes; it follows this clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let millis = Arc::clone(&self.0);
        Clock::new(move || Timestamp(millis.load(Ordering::SeqCst)))
    }

    /// Moves time forward.
    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Sets the time, also backwards.
    pub fn set(&self, timestamp: Timestamp) {
        self.0.store(timestamp.0, Ordering::SeqCst);
    }
}
