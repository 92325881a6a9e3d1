//! Reconciles that somebody asked for, until they are handled.
//!
//! A request is handled once git was read anew for the producer and each of its children was worked on, all of it
//! begun after the request. Kept in memory alone: the next leader sees by annotation and status that a request was not
//! handled, and begins it anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;
use lb_desired::crd::{LBProducer, RECONCILE_REQUESTED_AT};
use lb_vocab::ProducerName;

use crate::child::ChildKey;

/// The request that a producer carries; `None` where there is none, or it was handled.
pub(crate) fn of(resource: &LBProducer) -> Option<&str> {
    let asked = resource.annotations().get(RECONCILE_REQUESTED_AT)?;
    let handled = resource.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    (handled != Some(asked)).then_some(asked)
}

/// Requests that are worked on, at most one a producer.
#[derive(Debug, Default)]
pub(crate) struct Requests(Mutex<HashMap<ProducerName, Request>>);

#[derive(Debug)]
struct Request {
    value: String,
    /// Children that were not worked on since.
    children: HashMap<ChildKey, Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No run has begun since the request; one that is under way does not count.
    Waiting,
    Working,
}

impl Requests {
    /// Begins to wait for these children. A newer request replaces an older one.
    pub(crate) fn open(
        &self,
        producer: &ProducerName,
        value: &str,
        children: impl IntoIterator<Item = ChildKey>,
    ) {
        let children = children.into_iter().map(|child| (child, Stage::Waiting)).collect();
        self.lock().insert(producer.clone(), Request { value: value.to_owned(), children });
    }

    /// Whether this request is worked on already.
    pub(crate) fn is_open(&self, producer: &ProducerName, value: &str) -> bool {
        self.lock().get(producer).is_some_and(|request| request.value == value)
    }

    /// Whether this request was opened, and every child was worked on since.
    pub(crate) fn is_done(&self, producer: &ProducerName, value: &str) -> bool {
        let requests = self.lock();
        requests.get(producer).is_some_and(|request| request.value == value && request.children.is_empty())
    }

    /// Nobody waits any more.
    pub(crate) fn close(&self, producer: &ProducerName) {
        self.lock().remove(producer);
    }

    /// Whether somebody waits for this child.
    pub(crate) fn waits_for(&self, child: &ChildKey) -> bool {
        self.lock().values().any(|request| request.children.contains_key(child))
    }

    /// A run of this child begins.
    pub(crate) fn begun(&self, child: &ChildKey) {
        for request in self.lock().values_mut() {
            if let Some(stage) = request.children.get_mut(child) {
                *stage = Stage::Working;
            }
        }
    }

    /// A run of this child has ended, well or not. Answers the producer whose last child it was.
    pub(crate) fn ended(&self, child: &ChildKey) -> Option<ProducerName> {
        let mut requests = self.lock();
        let (producer, request) =
            requests.iter_mut().find(|(_, request)| request.children.get(child) == Some(&Stage::Working))?;
        request.children.remove(child);
        request.children.is_empty().then(|| producer.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProducerName, Request>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use lb_desired::crd::{LBProducerSpec, LBProducerStatus};

    use super::*;

    fn child(name: &str) -> ChildKey {
        ChildKey::Gateway("customer".to_owned(), name.to_owned())
    }

    #[test]
    fn a_request_is_a_value_that_the_status_does_not_have() {
        let mut resource = LBProducer::new("al", LBProducerSpec::default());
        assert_eq!(of(&resource), None);
        resource.annotations_mut().insert(RECONCILE_REQUESTED_AT.to_owned(), "2".to_owned());
        assert_eq!(of(&resource), Some("2"));
        let handled = |value: &str| {
            Some(LBProducerStatus {
                last_handled_reconcile_at: Some(value.to_owned()),
                ..LBProducerStatus::default()
            })
        };
        resource.status = handled("1");
        assert_eq!(of(&resource), Some("2"));
        resource.status = handled("2");
        assert_eq!(of(&resource), None);
    }

    #[test]
    fn only_runs_that_began_after_the_request_count() {
        let (requests, al) = (Requests::default(), "al".parse().unwrap());
        requests.begun(&child("main"));
        requests.open(&al, "1", [child("main"), child("edge")]);
        assert_eq!(requests.ended(&child("main")), None, "it was under way before");
        assert!(requests.waits_for(&child("main")));
        for name in ["main", "edge"] {
            assert!(!requests.is_done(&al, "1"));
            requests.begun(&child(name));
            assert_eq!(requests.ended(&child(name)), (name == "edge").then(|| al.clone()));
        }
        assert!(requests.is_done(&al, "1") && !requests.waits_for(&child("main")));
        assert_eq!(requests.ended(&child("edge")), None, "it is said once");
        requests.close(&al);
        assert!(!requests.is_open(&al, "1"));
    }

    #[test]
    fn a_newer_request_begins_anew() {
        let (requests, al) = (Requests::default(), "al".parse().unwrap());
        requests.open(&al, "1", []);
        assert!(requests.is_done(&al, "1"));
        assert!(!requests.is_open(&al, "2") && !requests.is_done(&al, "2"));
        requests.open(&al, "2", [child("main")]);
        assert!(requests.is_open(&al, "2") && !requests.is_done(&al, "2") && !requests.is_open(&al, "1"));
    }
}
