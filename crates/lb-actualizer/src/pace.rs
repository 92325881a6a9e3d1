//! How often one producer's new commits are followed: at once, several times in a row; of one that moves on without pause
//! now and then. Each costs reads at git-api and writes at the API server, whose time is everybody's.
//!
//! A leaky bucket, kept as the moment at which it will be empty again (the generic cell rate algorithm).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lb_vocab::Producer;
use tokio::time::Instant;

/// New commits that are followed in a row.
const BURST: u32 = 10;
/// How long it takes until one more is, from when on it is the pace of who never pauses.
const EVERY: Duration = Duration::from_secs(5);
/// Producers that may be known before those that have paused are forgotten for the first time.
const FORGET_AT: usize = 1024;

/// The pace of every producer.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Paces>);

#[derive(Debug, Default)]
struct Paces {
    /// When each may follow as many in a row again as if it never had.
    rested: HashMap<Producer, Instant>,
    /// How many are known before some are forgotten.
    forget_at: usize,
}

impl Pace {
    /// Whether a new commit may be followed now, which counts; otherwise how long to wait.
    pub(crate) fn follow(&self, who: &Producer) -> Result<(), Duration> {
        let now = Instant::now();
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = paces.rested.get(who).map_or(now, |rested| now.max(*rested));
        let wait = rested.duration_since(now).saturating_sub(EVERY * (BURST - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        if paces.rested.len() >= paces.forget_at {
            paces.rested.retain(|_, rested| *rested > now);
            paces.forget_at = FORGET_AT.max(2 * paces.rested.len());
        }
        paces.rested.insert(who.clone(), rested + EVERY);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Producer {
        format!("{name}-dev").parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn several_in_a_row_then_one_now_and_then_and_all_again_after_a_rest() {
        let (pace, al) = (Pace::default(), who("al"));
        for _ in 0..BURST {
            assert_eq!(pace.follow(&al), Ok(()));
        }
        assert_eq!(pace.follow(&al), Err(EVERY));
        assert_eq!(pace.follow(&who("bo")), Ok(()), "another's");
        tokio::time::advance(EVERY - Duration::from_millis(1)).await;
        assert_eq!(pace.follow(&al), Err(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((pace.follow(&al), pace.follow(&al)), (Ok(()), Err(EVERY)));
        tokio::time::advance(EVERY * BURST).await;
        assert_eq!((0..=BURST).filter(|_| pace.follow(&al).is_ok()).count(), BURST as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_paused_is_forgotten() {
        let pace = Pace::default();
        for number in 0..FORGET_AT {
            pace.follow(&who(&format!("p{number}"))).unwrap();
        }
        tokio::time::advance(EVERY).await;
        pace.follow(&who("al")).unwrap();
        assert_eq!(pace.0.lock().unwrap().rested.len(), 1);
    }
}
