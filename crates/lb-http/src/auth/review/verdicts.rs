//! What reviews answered lately, and how many more may be asked for.

use std::collections::HashMap;
use std::time::Duration;

use lb_vocab::{Digest, Timestamp};

use crate::auth::Identity;

/// How long a token is somebody's without being reviewed again. The API server itself repeats a good verdict for 10 s:
/// together a pod that is gone is known for 30 s at most.
const GOOD_FOR: Duration = Duration::from_secs(20);
/// How long a token is nobody's.
const BAD_FOR: Duration = Duration::from_secs(5);
/// Tokens that are remembered, a few hundred bytes each.
const CAPACITY: usize = 16_384;

/// Verdicts by their token's digest: the token itself is not kept.
pub(super) struct Verdicts {
    entries: HashMap<Digest, Entry>,
    /// For tokens that are new to us, and for those that were good before: a flood of the first kind must not lock out
    /// the second.
    budgets: [Budget; 2],
}

struct Entry {
    who: Option<Identity>,
    since: Timestamp,
    until: Timestamp,
    expires: Timestamp,
}

/// What is known about a token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Whose it is, or that it is nobody's.
    Verdict(Option<Identity>),
    /// It was somebody's at its last review.
    GoodBefore,
    /// It is new, or was nobody's.
    Nothing,
}

impl Verdicts {
    pub(super) fn new(rate: usize) -> Self {
        Self { entries: HashMap::new(), budgets: [Budget::new(rate), Budget::new(rate)] }
    }

    pub(super) fn find(&self, digest: &Digest, now: Timestamp) -> Found {
        match self.entries.get(digest) {
            Some(entry) if entry.holds(now) => Found::Verdict(entry.who.clone()),
            Some(entry) if entry.who.is_some() => Found::GoodBefore,
            Some(_) | None => Found::Nothing,
        }
    }

    /// Whether the reviewer may be asked once more now.
    pub(super) fn may_ask(&mut self, good_before: bool, now: Timestamp) -> bool {
        self.budgets[usize::from(good_before)].take(now)
    }

    pub(super) fn note(&mut self, digest: Digest, who: Option<Identity>, expires: Timestamp, now: Timestamp) {
        if self.entries.len() >= CAPACITY {
            self.make_room(now);
        }
        let holds = if who.is_some() { GOOD_FOR } else { BAD_FOR };
        self.entries.insert(digest, Entry { who, since: now, until: now.plus(holds), expires });
    }

    /// Drops what is of no use any more, then bad verdicts, then the good one that is reviewed next.
    fn make_room(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| entry.holds(now) || (entry.who.is_some() && now < entry.expires));
        if self.entries.len() >= CAPACITY {
            self.entries.retain(|_, entry| entry.who.is_some());
        }
        if self.entries.len() >= CAPACITY {
            let next = self.entries.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(digest) = next.map(|(digest, _)| digest.clone()) {
                self.entries.remove(&digest);
            }
        }
    }
}

impl Entry {
    /// Not before it was made either: a clock that is set back prolongs nothing.
    fn holds(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

/// So many a second.
struct Budget {
    rate: usize,
    second: u64,
    taken: usize,
}

impl Budget {
    fn new(rate: usize) -> Self {
        Self { rate, second: 0, taken: 0 }
    }

    fn take(&mut self, now: Timestamp) -> bool {
        if self.second != now.seconds() {
            (self.second, self.taken) = (now.seconds(), 0);
        }
        if self.taken < self.rate {
            self.taken += 1;
            return true;
        }
        if self.taken == self.rate {
            self.taken += 1;
            tracing::warn!(
                rate = self.rate,
                "more tokens are to be reviewed than the rate allows: callers get 503"
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_has_a_bound_and_bad_verdicts_go_first() {
        let mut verdicts = Verdicts::new(1);
        let digest = |n: usize| Digest::of(&n.to_be_bytes());
        let now = Timestamp(1_000_000);
        let expires = now.plus(Duration::from_hours(1));
        let good = Some(Identity::Operator);
        verdicts.note(digest(0), good.clone(), expires, now);
        for n in 1..=CAPACITY {
            verdicts.note(digest(n), None, expires, now);
        }
        assert!(verdicts.entries.len() <= CAPACITY);
        assert_eq!(verdicts.find(&digest(0), now), Found::Verdict(good.clone()));
        assert_eq!(verdicts.find(&digest(CAPACITY), now), Found::Verdict(None));
        let later = now.plus(Duration::from_secs(1));
        for n in 1..=CAPACITY {
            verdicts.note(digest(n), good.clone(), expires, later);
        }
        assert_eq!(verdicts.entries.len(), CAPACITY);
        assert_eq!(verdicts.find(&digest(0), now), Found::Nothing, "the oldest of the good ones");
    }

    #[test]
    fn what_was_good_before_is_known_until_it_expires_or_is_bad() {
        let mut verdicts = Verdicts::new(1);
        let (digest, now) = (Digest::of(b"token"), Timestamp(1_000_000));
        let expires = now.plus(Duration::from_hours(1));
        verdicts.note(digest.clone(), Some(Identity::Operator), expires, now);
        let later = now.plus(GOOD_FOR);
        assert_eq!(verdicts.find(&digest, later), Found::GoodBefore);
        verdicts.note(digest.clone(), None, expires, later);
        assert_eq!(verdicts.find(&digest, later.plus(BAD_FOR)), Found::Nothing);
        verdicts.make_room(later.plus(BAD_FOR));
        assert!(verdicts.entries.is_empty());
    }
}
