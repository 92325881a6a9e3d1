//! Waiting for a condition, with a deadline.

use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// How long [`eventually`] waits: generous, because a busy machine is not a failure.
const GENEROUS: Duration = Duration::from_secs(30);

/// Waits up to 30 seconds until `attempt` answers `Ok`; see [`eventually_within`].
///
/// # Panics
/// At the deadline.
#[track_caller]
pub fn eventually<T, E, F, A>(what: &str, attempt: A) -> impl Future<Output = T>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    eventually_within(what, GENEROUS, attempt)
}

/// Calls `attempt` until it answers `Ok`, with short waits between (10 to 200 ms), and returns what it answered.
///
/// # Panics
/// At the deadline, with `what`, where it was called and the last `Err`. An attempt that hangs is cut off there.
#[track_caller]
pub fn eventually_within<T, E, F, A>(
    what: &str,
    deadline: Duration,
    mut attempt: A,
) -> impl Future<Output = T>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, E>>,
    E: Display,
{
    let caller = Location::caller();
    async move {
        let end = Instant::now() + deadline;
        let mut last = "the first attempt did not return".to_owned();
        let mut pause = Duration::from_millis(10);
        loop {
            match timeout_at(end, attempt()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => panic!(
                    "{caller}: {what}: not within {deadline:?}; the last attempt hung; before it: {last}"
                ),
            }
            assert!(Instant::now() + pause < end, "{caller}: {what}: not within {deadline:?}: {last}");
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_what_the_first_good_attempt_answered() {
        let mut attempts = 0;
        let value = eventually("third time", || {
            attempts += 1;
            let answer = if attempts == 3 { Ok(attempts) } else { Err("not yet") };
            async move { answer }
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "the pod is up: not within 50ms: it is down")]
    async fn fails_with_the_last_error() {
        eventually_within("the pod is up", Duration::from_millis(50), || async {
            Err::<(), _>("it is down")
        })
        .await;
    }

    #[tokio::test]
    #[should_panic(expected = "the last attempt hung")]
    async fn cuts_off_an_attempt_that_hangs() {
        eventually_within("an answer", Duration::from_millis(50), std::future::pending::<Result<(), String>>)
            .await;
    }
}
