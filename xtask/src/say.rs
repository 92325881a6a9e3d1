//! Progress for people: every line carries the time since the start.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use lb_testkit::Progress;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Starts the stopwatch.
pub(crate) fn start() {
    LazyLock::force(&START);
}

/// Says a line.
pub(crate) fn say(text: &str) {
    eprintln!("[{:>4} s] {text}", START.elapsed().as_secs());
}

/// The same as what a long step takes.
pub(crate) fn progress() -> Progress {
    Arc::new(say)
}
