//! How many requests are worked on at once: per git user that they are about, and in total.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use lb_http::error::{ApiError, code};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// How long a request waits for its turn before it is sent away.
const PATIENCE: Duration = Duration::from_secs(10);
/// Users that are remembered before those without a request are forgotten.
const REMEMBERED: usize = 1000;

/// A place among the requests that are worked on; it is given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Place {
    _user: Option<OwnedSemaphorePermit>,
    _total: Option<OwnedSemaphorePermit>,
}

/// Places for requests.
#[derive(Debug)]
pub(crate) struct Limits {
    per_user: usize,
    users: Mutex<HashMap<String, Arc<Semaphore>>>,
    total: Arc<Semaphore>,
}

impl Limits {
    pub(crate) fn new(per_user: usize, total: usize) -> Self {
        Self { per_user, users: Mutex::default(), total: Arc::new(Semaphore::new(total)) }
    }

    /// A place for a request about this user. The user's own limit comes first, so that one user's queue takes
    /// nothing of the total.
    pub(crate) async fn enter(&self, login: &str) -> Result<Place, ApiError> {
        let own = self.of(login);
        let places = async {
            let user = own.acquire_owned().await.ok();
            let total = Arc::clone(&self.total).acquire_owned().await.ok();
            Place { _user: user, _total: total }
        };
        tokio::time::timeout(PATIENCE, places).await.map_err(|_| {
            let message = "too many requests of this user at once: try again in a few seconds";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::RATE_LIMITED, message).retry_after(5)
        })
    }

    fn of(&self, login: &str) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= REMEMBERED {
            // Whoever waits or works holds a clone.
            users.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = users.entry(login.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.per_user)));
        Arc::clone(places)
    }
}

/// Places for those of whom nobody knows yet who they are: the git host is asked about what they show. It has few places of
/// its own, of which a flood must leave most to the platform.
#[derive(Debug)]
pub(super) struct Strangers(Semaphore);

impl Strangers {
    /// Questions at once.
    const PLACES: usize = 4;

    pub(super) fn new() -> Self {
        Self(Semaphore::new(Self::PLACES))
    }

    pub(super) async fn enter(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        tokio::time::timeout(PATIENCE, self.0.acquire()).await.ok().and_then(Result::ok).ok_or_else(|| {
            let message = "too many show their credentials at once: try again in a few seconds";
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::RATE_LIMITED, message).retry_after(5)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_user_waits_and_is_sent_away_while_others_go_on() {
        let limits = Limits::new(2, 10);
        let first = limits.enter("al").await.unwrap();
        let _second = limits.enter("al").await.unwrap();
        let refused = limits.enter("al").await.unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (503, "RATE_LIMITED"));
        limits.enter("bob").await.unwrap();
        drop(first);
        limits.enter("al").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_holds_over_all_and_idle_users_are_forgotten() {
        let limits = Limits::new(2, 3);
        let _held = [
            limits.enter("a").await.unwrap(),
            limits.enter("b").await.unwrap(),
            limits.enter("c").await.unwrap(),
        ];
        assert!(limits.enter("d").await.is_err());
        let limits = Limits::new(1, 5000);
        let _held = limits.enter("busy").await.unwrap();
        for user in 0..3000 {
            limits.enter(&user.to_string()).await.unwrap();
        }
        assert!(limits.users.lock().unwrap().len() <= REMEMBERED);
        assert!(limits.enter("busy").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_wait_for_each_other_and_are_sent_away() {
        let strangers = Strangers::new();
        let mut held = Vec::new();
        for _ in 0..Strangers::PLACES {
            held.push(strangers.enter().await.unwrap());
        }
        let refused = strangers.enter().await.unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (503, "RATE_LIMITED"));
        held.pop();
        drop(strangers.enter().await.unwrap());
    }
}
