//! The system's clock, for everything that is injected with one.

use std::time::{SystemTime, UNIX_EPOCH};

use lb_vocab::{Clock, Timestamp};

/// The system's clock.
#[must_use]
pub fn system() -> Clock {
    Clock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "the one place where the system is asked for the time")]
        let now = SystemTime::now();
        let millis = now.duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_millis());
        Timestamp(u64::try_from(millis).unwrap_or(u64::MAX))
    })
}
