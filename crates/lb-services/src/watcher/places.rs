//! How many streams are open at once: in total, and for one caller.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use lb_http::auth::Identity;
use lb_http::error::{ApiError, code};

/// Of all places one caller gets this part at most, so that nobody takes them all. The platform itself is not counted so.
const PART: usize = 10;

/// Places for streams. Clones share them.
#[derive(Clone)]
pub(super) struct Places {
    all: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_caller: HashMap<String, usize>,
}

/// A place; it is given back when dropped.
pub(super) struct Place {
    caller: String,
    taken: Arc<Mutex<Taken>>,
}

impl Places {
    pub(super) fn new(all: usize) -> Self {
        Self { all, taken: Arc::default() }
    }

    /// A place for a caller.
    ///
    /// # Errors
    /// 503 where there is none.
    pub(super) fn take(&self, who: &Identity) -> Result<Place, ApiError> {
        let caller = who.to_string();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by_caller.get(&caller).copied().unwrap_or(0);
        let most = if who.is_system() { self.all } else { self.all.div_ceil(PART) };
        if taken.all >= self.all || own >= most {
            let message = "too many streams are open: close some, or try again later";
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code::RATE_LIMITED, message);
            return Err(error.retry_after(10));
        }
        taken.all += 1;
        taken.by_caller.insert(caller.clone(), own + 1);
        Ok(Place { caller, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let own = taken.by_caller.get(&self.caller).copied().unwrap_or(0);
        if own <= 1 {
            taken.by_caller.remove(&self.caller);
        } else {
            taken.by_caller.insert(self.caller.clone(), own - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_they_are_given_back() {
        let places = Places::new(20);
        let (al, bob) = (Identity::user("customer-al"), Identity::user("customer-bob"));
        let of_al: Vec<_> = (0..2).map(|_| places.take(&al).ok().unwrap()).collect();
        assert!(places.take(&al).is_err(), "a tenth each");
        let of_bob = places.take(&bob).ok().unwrap();
        let platform: Vec<_> = (0..17).map(|_| places.take(&Identity::Operator).ok().unwrap()).collect();
        assert!(places.take(&Identity::Operator).is_err() && places.take(&bob).is_err(), "all are taken");
        drop(of_al);
        assert!(places.take(&al).is_ok());
        drop((of_bob, platform));
        let taken = places.taken.lock().unwrap();
        assert_eq!((taken.all, taken.by_caller.len()), (0, 0));
    }
}
