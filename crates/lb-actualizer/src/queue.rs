//! The work queue: which key is worked on next.
//!
//! A key stands in the queue at most once, however often it is nudged, and is never worked on twice at a time: a
//! nudge that arrives meanwhile is kept for afterwards. Two classes go in a fixed order, *interactive* (a push, a
//! command, drift) before *resync* (sweep, start, roster); within a class it is first come, first served, so that a
//! producer that is nudged without end waits behind everybody else's first nudge.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Entries that may stand before keys that rest are forgotten for the first time.
const FORGET_AT: usize = 1024;

/// How soon a key is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Somebody waits for it.
    Interactive,
    /// Nobody does.
    Resync,
}

/// A queue of distinct keys. Waiting is the only asynchronous part: there are no timers and no tasks of its own.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    /// Time from one start of work that cost something to the next, so that 20 pushes become few reconciles.
    interval: Duration,
}

/// What a run of a key's work came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// It found nothing to do and sent nothing. The next may follow at once: an event that says what is known already
    /// must not hold up the one behind it that is news.
    Idle,
    /// It asked for something, or failed.
    Worked,
}

#[derive(Debug)]
struct State<K> {
    waiting: [VecDeque<K>; 2],
    /// Keys that must not start before a moment; the number keeps moments distinct.
    delayed: BTreeMap<(Instant, u64), K>,
    keys: HashMap<K, Entry>,
    sequence: u64,
    closed: bool,
    /// Keys that rest are forgotten once there are this many entries.
    forget_at: usize,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    /// When the last run began that was not idle.
    last_start: Option<Instant>,
    /// When the present run began.
    begun: Instant,
    /// A nudge that arrived while the key was worked on.
    again: Option<(Class, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting(Class),
    Delayed((Instant, u64), Class),
    Working,
    Resting,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// An empty queue that starts a key at most once per `interval`.
    pub(crate) fn new(interval: Duration) -> Self {
        let state = State {
            waiting: [VecDeque::new(), VecDeque::new()],
            delayed: BTreeMap::new(),
            keys: HashMap::new(),
            sequence: 0,
            closed: false,
            forget_at: FORGET_AT,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), interval }
    }

    /// Wants `key` to be worked on now (or as soon as its interval allows).
    pub(crate) fn nudge(&self, key: K, class: Class) {
        self.nudge_at(key, class, Instant::now());
    }

    /// Wants `key` to be worked on after some time; an earlier wish stays.
    pub(crate) fn nudge_after(&self, key: K, class: Class, delay: Duration) {
        self.nudge_at(key, class, Instant::now() + delay);
    }

    fn nudge_at(&self, key: K, class: Class, at: Instant) {
        let mut state = self.lock();
        let now = Instant::now();
        state.forget_resting(now, self.interval);
        state.nudge(key, class, at, now, self.interval);
        drop(state);
        self.changed.notify_one();
    }

    /// The next key to work on, or `None` once the queue is closed. Every key that was taken must be given back with
    /// [`Queue::done`].
    pub(crate) async fn take(&self) -> Option<K> {
        loop {
            let changed = self.changed.notified();
            let wake = {
                let mut state = self.lock();
                if state.closed {
                    self.changed.notify_one();
                    return None;
                }
                state.promote(Instant::now());
                if let Some(key) = state.start(Instant::now()) {
                    // There may be more than one to start, and one permit wakes one worker.
                    self.changed.notify_one();
                    return Some(key);
                }
                state.delayed.keys().next().map(|(at, _)| *at)
            };
            match wake {
                Some(at) => {
                    tokio::select! {
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Gives a key back; it goes on waiting if it was nudged meanwhile.
    pub(crate) fn done(&self, key: &K, run: Run) {
        let mut state = self.lock();
        let again = state.keys.get_mut(key).and_then(|entry| {
            entry.place = Place::Resting;
            if run == Run::Worked {
                entry.last_start = Some(entry.begun);
            }
            entry.again.take()
        });
        if let Some((class, at)) = again {
            state.nudge(key.clone(), class, at, Instant::now(), self.interval);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Keys that could be worked on now, and those that wait for a moment.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiting.iter().map(VecDeque::len).sum(), state.delayed.len())
    }

    /// Whether a key is being worked on.
    pub(crate) fn is_busy(&self) -> bool {
        self.lock().keys.values().any(|entry| entry.place == Place::Working)
    }

    /// Ends the queue: every waiting [`Queue::take`] answers `None`.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Forgets keys whose interval is over. Rarely: each time as many entries are looked at as came since.
    fn forget_resting(&mut self, now: Instant, interval: Duration) {
        if self.keys.len() >= self.forget_at {
            self.keys.retain(|_, entry| {
                entry.place != Place::Resting || entry.last_start.is_some_and(|start| start + interval > now)
            });
            self.forget_at = FORGET_AT.max(2 * self.keys.len());
        }
    }

    fn nudge(&mut self, key: K, class: Class, at: Instant, now: Instant, interval: Duration) {
        let entry = self.keys.entry(key.clone()).or_insert(Entry {
            place: Place::Resting,
            last_start: None,
            begun: now,
            again: None,
        });
        let at = entry.last_start.map_or(at, |start| at.max(start + interval));
        match entry.place {
            Place::Working => {
                let (old_class, old_at) = entry.again.unwrap_or((class, at));
                entry.again = Some((class.min(old_class), at.min(old_at)));
            }
            Place::Waiting(old) if class >= old => {}
            Place::Waiting(old) => {
                entry.place = Place::Waiting(class);
                self.waiting[old as usize].retain(|k| *k != key);
                self.waiting[class as usize].push_back(key);
            }
            Place::Delayed(slot, old) if at >= slot.0 && class >= old => {}
            Place::Delayed(slot, old) => {
                self.delayed.remove(&slot);
                self.place(&key, class.min(old), at.min(slot.0), now);
            }
            Place::Resting => self.place(&key, class, at, now),
        }
    }

    fn place(&mut self, key: &K, class: Class, at: Instant, now: Instant) {
        let place = if at <= now {
            self.waiting[class as usize].push_back(key.clone());
            Place::Waiting(class)
        } else {
            self.sequence += 1;
            let slot = (at, self.sequence);
            self.delayed.insert(slot, key.clone());
            Place::Delayed(slot, class)
        };
        if let Some(entry) = self.keys.get_mut(key) {
            entry.place = place;
        }
    }

    fn promote(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry().filter(|first| first.key().0 <= now) {
            let key = first.remove();
            if let Some(entry) = self.keys.get_mut(&key)
                && let Place::Delayed(_, class) = entry.place
            {
                entry.place = Place::Waiting(class);
                self.waiting[class as usize].push_back(key);
            }
        }
    }

    fn start(&mut self, now: Instant) -> Option<K> {
        let key = self.waiting.iter_mut().find_map(VecDeque::pop_front)?;
        if let Some(entry) = self.keys.get_mut(&key) {
            entry.place = Place::Working;
            entry.begun = now;
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> Queue<&'static str> {
        Queue::new(Duration::from_millis(500))
    }

    #[tokio::test(start_paused = true)]
    async fn interactive_goes_first_and_a_key_stands_once() {
        let queue = queue();
        for key in ["a", "b"] {
            queue.nudge(key, Class::Resync);
        }
        queue.nudge("c", Class::Interactive);
        queue.nudge("c", Class::Resync);
        queue.nudge("b", Class::Interactive);
        assert_eq!(queue.depth(), (3, 0));
        let mut order = Vec::new();
        for _ in 0..3 {
            order.push(queue.take().await.unwrap());
        }
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_nudge_is_served_at_once_and_the_next_after_the_interval() {
        let queue = queue();
        let begin = Instant::now();
        queue.nudge("a", Class::Interactive);
        assert_eq!(queue.take().await, Some("a"));
        assert_eq!(begin.elapsed(), Duration::ZERO);
        for _ in 0..20 {
            queue.nudge("a", Class::Interactive);
        }
        assert_eq!(queue.depth(), (0, 0), "it is being worked on");
        queue.done(&"a", Run::Worked);
        assert_eq!(queue.take().await, Some("a"));
        assert!(
            begin.elapsed() >= Duration::from_millis(500) && begin.elapsed() < Duration::from_millis(510)
        );
        queue.done(&"a", Run::Worked);
        assert_eq!(queue.depth(), (0, 0), "20 nudges are one more reconcile");
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_idle_run_the_next_is_served_at_once() {
        let queue = queue();
        let begin = Instant::now();
        for run in [Run::Idle, Run::Idle, Run::Worked] {
            queue.nudge("a", Class::Interactive);
            assert_eq!(queue.take().await, Some("a"));
            // What comes meanwhile is served as what comes afterwards.
            queue.nudge("a", Class::Interactive);
            assert_eq!(begin.elapsed(), Duration::ZERO);
            queue.done(&"a", run);
        }
        assert_eq!(queue.take().await, Some("a"));
        assert!(begin.elapsed() >= Duration::from_millis(500));
        queue.done(&"a", Run::Idle);
        queue.nudge("a", Class::Interactive);
        assert_eq!(queue.take().await, Some("a"));
        assert!(begin.elapsed() < Duration::from_millis(510), "idle runs do not count");
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_nudged_without_end_does_not_hold_up_another() {
        let queue = queue();
        queue.nudge("noisy", Class::Interactive);
        queue.nudge("quiet", Class::Interactive);
        assert_eq!(queue.take().await, Some("noisy"));
        queue.nudge("noisy", Class::Interactive);
        queue.done(&"noisy", Run::Worked);
        assert_eq!(queue.take().await, Some("quiet"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_wish_wins_over_a_later_one() {
        let queue = queue();
        queue.nudge_after("a", Class::Resync, Duration::from_secs(60));
        queue.nudge_after("a", Class::Resync, Duration::from_secs(600));
        assert_eq!(queue.depth(), (0, 1));
        let begin = Instant::now();
        assert_eq!(queue.take().await, Some("a"));
        assert!(begin.elapsed() < Duration::from_secs(61));
        queue.done(&"a", Run::Worked);
        queue.nudge_after("a", Class::Resync, Duration::from_secs(600));
        queue.nudge("a", Class::Interactive);
        assert_eq!(queue.take().await, Some("a"));
        assert!(begin.elapsed() < Duration::from_secs(62));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_rest_are_forgotten() {
        let queue = Queue::new(Duration::from_millis(500));
        for key in 0..10_000 {
            queue.nudge(key, Class::Resync);
            assert_eq!(queue.take().await, Some(key));
            queue.done(&key, Run::Worked);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!(queue.lock().keys.len() <= 2 * FORGET_AT);
    }

    #[tokio::test(start_paused = true)]
    async fn closing_wakes_every_worker() {
        let queue = std::sync::Arc::new(queue());
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move { queue.take().await })
            })
            .collect();
        tokio::task::yield_now().await;
        queue.close();
        for worker in workers {
            assert_eq!(worker.await.unwrap(), None);
        }
    }
}
