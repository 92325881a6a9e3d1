//! One watch that never ends: a streaming list, then its changes; from the start again where the server has
//! forgotten our place.
//!
//! Not kube's watcher, for two reasons. It lists at version `0`, which may be older than what the previous leader
//! wrote; an empty version is a consistent read. And it keeps the version of a list to itself, without which an own
//! write cannot be told from an object that is gone.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::api::{WatchEvent, WatchParams};
use lb_vocab::with_causes;
use rand::Rng;
use serde_json::Value;

use crate::collection::Collection;
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::Version;

/// How long the server lets a watch run.
const LIFETIME_SECONDS: u32 = 290;
/// How long a watch may be silent: a little longer than its lifetime.
const SILENCE: Duration = Duration::from_secs(300);
/// Waits between attempts: from here, doubled,
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// to here.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// A list begins; its objects follow as `Applied`.
    Restarted,
    /// An object is as it is.
    Applied(Value),
    /// An object is gone, or does not match any more.
    Gone(Value),
    /// The list is complete.
    Synced(Version),
    /// Nothing happened up to here.
    Passed(Version),
}

/// What is wrong with a watch, if anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health(Arc<Mutex<Option<String>>>);

impl Health {
    fn set(&self, problem: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }

    pub(crate) fn problem(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What to watch.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) collection: Collection,
    pub(crate) labels: Option<&'static str>,
    pub(crate) health: Health,
}

enum End {
    /// The server closed it, as it does after its lifetime.
    Closed,
    /// The server has forgotten our place.
    Expired,
    /// It broke.
    Broken(ApiError),
}

/// Where a watch stands.
#[derive(Default)]
struct Progress {
    /// Everything up to here was told; `None`: a list is needed.
    at: Option<Version>,
    /// Something was told since the last wait.
    moved: bool,
}

/// Watches for ever. `tell` must be quick.
pub(crate) async fn run(cluster: &Cluster, watched: &Watched, mut tell: impl FnMut(Told) + Send) {
    let mut progress = Progress::default();
    let mut wait = FIRST_WAIT;
    loop {
        progress.moved = false;
        match once(cluster, watched, &mut progress, &mut tell).await {
            End::Closed => tracing::trace!(kind = watched.collection.kind, "watch closed"),
            End::Expired => {
                tracing::debug!(kind = watched.collection.kind, "watch expired: listing again");
                progress.at = None;
            }
            End::Broken(error) => {
                tracing::debug!(kind = watched.collection.kind, %error, "watch broke");
                watched.health.set(Some(with_causes(&error)));
            }
        }
        wait = if progress.moved { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(wait.mul_f64(jitter)).await;
    }
}

async fn once(
    cluster: &Cluster,
    watched: &Watched,
    progress: &mut Progress,
    tell: &mut (impl FnMut(Told) + Send),
) -> End {
    let listing = progress.at.is_none();
    let attempt = format!("watch {}", watched.collection.kind);
    let from = progress.at.map(|version| version.to_string()).unwrap_or_default();
    let parameters = WatchParams {
        label_selector: watched.labels.map(ToOwned::to_owned),
        timeout: Some(LIFETIME_SECONDS),
        send_initial_events: listing,
        ..WatchParams::default()
    };
    let request = match watched.collection.request().watch(&parameters, &from) {
        Ok(request) => request,
        Err(error) => return End::Broken(ApiError::new(&attempt, kube::Error::BuildRequest(error))),
    };
    let stream = match cluster.call(&attempt, cluster.client().request_events::<Value>(request)).await {
        Ok(stream) => stream,
        Err(error) if error.code() == Some(410) => return End::Expired,
        Err(error) => return End::Broken(error),
    };
    if listing {
        tell(Told::Restarted);
    }
    let mut stream = pin!(stream);
    loop {
        // A list sends one object after the other; afterwards silence is what a quiet cluster sounds like.
        let patience = if progress.at.is_none() { cluster.timeout() } else { SILENCE };
        let event = match tokio::time::timeout(patience, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(None) => return End::Closed,
            Ok(Some(Err(error))) => return End::Broken(ApiError::new(&attempt, error)),
            Err(_) => return End::Broken(ApiError::TimedOut { attempt, after: patience }),
        };
        if let Some(end) = advance(&attempt, event, progress, tell) {
            return end;
        }
        watched.health.set(None);
    }
}

fn advance(
    attempt: &str,
    event: WatchEvent<Value>,
    progress: &mut Progress,
    tell: &mut (impl FnMut(Told) + Send),
) -> Option<End> {
    let malformed = |what: &str| {
        Some(End::Broken(ApiError::Malformed { attempt: attempt.to_owned(), what: what.to_owned() }))
    };
    progress.moved = true;
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) => {
            let Some(version) = version(&object) else { return malformed("an object without a version") };
            if progress.at.is_some() {
                progress.at = Some(version);
            }
            tell(Told::Applied(object));
        }
        WatchEvent::Deleted(object) => {
            let Some(version) = version(&object) else { return malformed("an object without a version") };
            if progress.at.is_some() {
                progress.at = Some(version);
            }
            tell(Told::Gone(object));
        }
        WatchEvent::Bookmark(bookmark) => {
            let Some(version) = Version::parse(&bookmark.metadata.resource_version) else {
                return malformed("a bookmark without a version");
            };
            let listed = bookmark.metadata.annotations.contains_key("k8s.io/initial-events-end");
            if progress.at.is_some() {
                tell(Told::Passed(version));
                progress.at = Some(version);
            } else if listed {
                tell(Told::Synced(version));
                progress.at = Some(version);
            }
        }
        WatchEvent::Error(status) if status.code == 410 => return Some(End::Expired),
        WatchEvent::Error(status) => {
            return Some(End::Broken(ApiError::new(attempt, kube::Error::Api(status))));
        }
    }
    None
}

fn version(object: &Value) -> Option<Version> {
    Version::parse(object.pointer("/metadata/resourceVersion")?.as_str()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tell(progress: &mut Progress, events: &[Value]) -> (Vec<String>, Option<&'static str>) {
        let mut told = Vec::new();
        for event in events {
            let event = serde_json::from_value(event.clone()).unwrap();
            let end = advance("watch Secret", event, progress, &mut |one| {
                told.push(match one {
                    Told::Restarted => "restarted".to_owned(),
                    Told::Applied(object) => format!("applied {}", object["metadata"]["name"]),
                    Told::Gone(object) => format!("gone {}", object["metadata"]["name"]),
                    Told::Synced(version) => format!("synced {version}"),
                    Told::Passed(version) => format!("passed {version}"),
                });
            });
            match end {
                None => {}
                Some(End::Closed) => return (told, Some("closed")),
                Some(End::Expired) => return (told, Some("expired")),
                Some(End::Broken(_)) => return (told, Some("broken")),
            }
        }
        (told, None)
    }

    fn event(kind: &str, name: &str, version: &str) -> Value {
        json!({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": version}}})
    }

    fn bookmark(version: &str, end: bool) -> Value {
        let annotations = if end { json!({"k8s.io/initial-events-end": "true"}) } else { json!({}) };
        json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Secret",
            "metadata": {"resourceVersion": version, "annotations": annotations}}})
    }

    fn error(code: u16) -> Value {
        json!({"type": "ERROR", "object": {"kind": "Status", "code": code, "message": "m", "reason": "Expired"}})
    }

    #[test]
    fn a_list_is_complete_only_with_its_bookmark() {
        let mut progress = Progress::default();
        let (told, end) = tell(&mut progress, &[event("ADDED", "a", "7"), bookmark("8", false)]);
        assert_eq!((told, end), (vec!["applied \"a\"".to_owned()], None));
        assert_eq!(progress.at, None, "a list that broke off begins again");
        let (told, _) =
            tell(&mut progress, &[bookmark("9", true), event("DELETED", "a", "12"), bookmark("20", false)]);
        assert_eq!(told, ["synced 9", "gone \"a\"", "passed 20"]);
        assert_eq!(progress.at, Some(Version(20)));
    }

    #[test]
    fn a_server_that_forgot_our_place_is_told_from_one_that_is_broken() {
        for (code, expected) in [(410, "expired"), (500, "broken"), (403, "broken")] {
            let mut progress = Progress { at: Some(Version(5)), moved: false };
            let (told, end) =
                tell(&mut progress, &[event("MODIFIED", "a", "6"), error(code), event("ADDED", "b", "7")]);
            assert_eq!((told.len(), end), (1, Some(expected)), "{code}");
            assert_eq!(progress.at, Some(Version(6)));
        }
    }

    #[test]
    fn an_object_without_a_version_is_not_passed_over() {
        for bad in
            [event("ADDED", "a", ""), event("DELETED", "a", "x"), json!({"type": "ADDED", "object": null})]
        {
            let (told, end) =
                tell(&mut Progress { at: Some(Version(5)), moved: false }, std::slice::from_ref(&bad));
            assert_eq!((told.len(), end), (0, Some("broken")), "{bad}");
        }
    }
}
