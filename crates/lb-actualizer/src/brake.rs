//! The brake: stops withdrawals that are too many to be meant.
//!
//! It counts executed withdrawals of all producers in a sliding window, whatever their reason but an operator's
//! command. Removals that a producer's own commit asks for are that producer's will: they count only where more than
//! a fifth of all producers ask for some within the window. Over the limit the brake stops, names the whole set that
//! wants to go, and lets exactly that set go once an operator has repeated its digest.
//!
//! The decision is pure; [`crate::removal`] keeps the state in the ConfigMap `lunchbadger-brake`, so that it survives
//! a failover.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_vocab::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

/// Producers that may be withdrawn within a window, whatever their number.
const MIN_PRODUCERS: usize = 5;
/// Objects that may be removed within a window, whatever their number.
const MIN_OBJECTS: usize = 50;
/// Share of all producers or objects that may go within a window: one in fifty.
const SHARE: usize = 50;
/// Removals by own commits count where more than one in this many producers has some.
const OWN_COMMIT_SHARE: usize = 5;

/// Who wants something removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Will {
    /// The producer, by a commit in its own repository.
    OwnCommit,
    /// The platform: roster, settings, a new version that reads a project otherwise.
    Platform,
    /// An operator, by name.
    Operator,
}

/// What a producer loses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// When.
    pub at: Timestamp,
    /// How many objects.
    pub objects: usize,
    /// By whose will.
    pub will: Will,
}

/// How much there is in all.
#[derive(Clone, Copy, Debug)]
pub struct Totals {
    /// Producers that are known.
    pub producers: usize,
    /// Owned objects that stand.
    pub objects: usize,
}

/// The brake's state, as the ConfigMap keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Brake {
    /// Executed removals within the window, by `<producer>-<env>`.
    pub executed: BTreeMap<String, Removal>,
    /// Removals that wait for an operator, by `<producer>-<env>`.
    pub held: BTreeMap<String, Removal>,
    /// What of the released set is still to go.
    pub released: Vec<String>,
}

/// What the brake says to a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may go; it is counted.
    Go,
    /// It has to wait; the digest names the set.
    Stop {
        /// Digest of the whole set, as `lunchbadger brake release` wants it.
        digest: String,
    },
}

impl Brake {
    /// Asks whether `who` may lose `objects` objects.
    pub fn ask(&mut self, who: &str, removal: Removal, totals: Totals, window: Duration) -> Verdict {
        self.executed.retain(|_, old| removal.at.since(old.at) < window);
        if removal.will == Will::Operator {
            self.held.remove(who);
            return Verdict::Go;
        }
        if let Some(at) = self.released.iter().position(|name| name == who) {
            self.released.swap_remove(at);
            self.held.remove(who);
            return Verdict::Go;
        }
        let was_held = !self.held.is_empty();
        if !(was_held && removal.will == Will::Platform) && self.within(who, removal, totals) {
            self.held.remove(who);
            let objects = removal.objects + self.executed.get(who).map_or(0, |old| old.objects);
            self.executed.insert(who.to_owned(), Removal { objects, ..removal });
            return Verdict::Go;
        }
        self.held.insert(who.to_owned(), removal);
        Verdict::Stop { digest: self.digest() }
    }

    /// Forgets a removal that is not wanted any more (the producer is back, its project was mended).
    pub fn forget(&mut self, who: &str) -> bool {
        let held = self.held.remove(who).is_some();
        self.released.retain(|name| name != who);
        held
    }

    /// Lets the held set go, if `digest` names exactly it.
    pub fn release(&mut self, digest: &str) -> bool {
        let exact = !self.held.is_empty() && digest == self.digest();
        if exact {
            self.released = self.held.keys().cloned().collect();
        }
        exact
    }

    /// The digest of the held set: 16 hex digits over its names.
    #[must_use]
    pub fn digest(&self) -> String {
        Digest::of_parts(self.held.keys().map(String::as_bytes)).first(16).to_owned()
    }

    fn within(&self, who: &str, new: Removal, totals: Totals) -> bool {
        let others = || self.executed.iter().filter(|(name, _)| *name != who).map(|(_, old)| old);
        let own_commits = others().filter(|old| old.will == Will::OwnCommit).count();
        let mass =
            (own_commits + 1) * OWN_COMMIT_SHARE > totals.producers.max(MIN_PRODUCERS * OWN_COMMIT_SHARE);
        let counts = |removal: &Removal| removal.will == Will::Platform || mass;
        if !counts(&new) {
            return true;
        }
        let producers = others().filter(|old| counts(old)).count() + 1;
        let before = self.executed.values().filter(|old| counts(old)).map(|old| old.objects).sum::<usize>();
        producers <= MIN_PRODUCERS.max(totals.producers / SHARE)
            && before + new.objects <= MIN_OBJECTS.max(totals.objects / SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);
    const TOTALS: Totals = Totals { producers: 100, objects: 2000 };

    fn removal(at: u64, objects: usize, will: Will) -> Removal {
        Removal { at: Timestamp(at * 1000), objects, will }
    }

    fn ask(brake: &mut Brake, who: &str, at: u64, will: Will) -> bool {
        brake.ask(who, removal(at, 4, will), TOTALS, WINDOW) == Verdict::Go
    }

    #[test]
    fn a_handful_goes_and_the_sixth_stops_with_everything_behind_it() {
        let mut brake = Brake::default();
        for n in 0..5 {
            assert!(ask(&mut brake, &format!("p{n}"), n, Will::Platform), "{n}");
        }
        assert!(!ask(&mut brake, "p5", 5, Will::Platform));
        assert!(!ask(&mut brake, "p6", 6, Will::Platform));
        assert_eq!(brake.held.keys().collect::<Vec<_>>(), ["p5", "p6"]);
    }

    #[test]
    fn a_stopped_brake_waits_for_an_operator_even_after_the_window() {
        let mut brake = Brake::default();
        for n in 0..6 {
            ask(&mut brake, &format!("p{n}"), 0, Will::Platform);
        }
        assert!(!ask(&mut brake, "p5", 10_000, Will::Platform));
    }

    #[test]
    fn only_the_digest_of_exactly_the_held_set_releases_it() {
        let mut brake = Brake::default();
        for n in 0..7 {
            ask(&mut brake, &format!("p{n}"), 0, Will::Platform);
        }
        let digest = brake.digest();
        assert!(!ask(&mut brake, "p7", 1, Will::Platform));
        assert!(!brake.release(&digest), "the set has grown since");
        assert!(brake.forget("p7"));
        assert!(brake.release(&digest));
        assert!(ask(&mut brake, "p5", 2, Will::Platform) && ask(&mut brake, "p6", 2, Will::Platform));
        assert!(!ask(&mut brake, "p8", 3, Will::Platform), "it was not in the set");
    }

    #[test]
    fn operators_and_own_commits_pass_unless_a_fifth_of_all_do_it() {
        let mut brake = Brake::default();
        for n in 0..30 {
            assert!(ask(&mut brake, &format!("o{n}"), 0, Will::Operator));
        }
        for n in 0..20 {
            assert!(ask(&mut brake, &format!("c{n:02}"), 0, Will::OwnCommit), "{n}");
        }
        assert!(!ask(&mut brake, "c20", 0, Will::OwnCommit), "more than 20 % of 100");
    }

    #[test]
    fn many_objects_of_few_producers_stop_too_and_old_removals_are_forgotten() {
        let mut brake = Brake::default();
        assert_eq!(brake.ask("a", removal(0, 50, Will::Platform), TOTALS, WINDOW), Verdict::Go);
        let later = removal(601, 50, Will::Platform);
        assert_eq!(brake.clone().ask("b", later, TOTALS, WINDOW), Verdict::Go);
        assert_ne!(brake.ask("b", removal(599, 1, Will::Platform), TOTALS, WINDOW), Verdict::Go);
    }
}
