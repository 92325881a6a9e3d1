//! Kubernetes Events about our resources, for `kubectl describe`.
//!
//! An Event is a courtesy: writing one never waits, never fails a reconcile, and stops where an object has too many.
//! Equal ones within six minutes become a series of one object.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::connect::Cluster;
use crate::custom::Custom;
use crate::identity::Uid;

/// Events that wait to be written; further ones are dropped.
const WAITING: usize = 256;
/// Events of one object in a burst,
const BURST: u32 = 25;
/// and one more each time that this much passed (as client-go has it).
const REFILL: Duration = Duration::from_secs(300);
/// The API server's limit of an Event's text, bytes.
const MAX_NOTE: usize = 1024;

/// How an Event is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It went as it should.
    Normal,
    /// Somebody should look.
    Warning,
}

/// Writes Events in the background.
#[derive(Clone, Debug)]
pub struct Events(mpsc::Sender<Note>);

#[derive(Debug)]
struct Note {
    about: ObjectReference,
    tone: Tone,
    reason: String,
    message: String,
}

impl Events {
    /// Starts the writer. `instance` tells replicas apart: the pod's name. It ends when the last clone is dropped.
    #[must_use]
    pub fn start(cluster: &Cluster, instance: &str) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let reporter = Reporter { controller: "lunchbadger".to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(cluster.client().clone(), reporter);
        tokio::spawn(write(cluster.clone(), recorder, receiver));
        Self(sender)
    }

    /// Notes what happened to an object. `reason` is CamelCase and stable; `message` is for people. On transitions
    /// only, not on every reconcile.
    pub fn note<K: Custom>(&self, object: &K, tone: Tone, reason: &str, message: &str) {
        let note = Note {
            about: object.object_ref(&()),
            tone,
            reason: reason.to_owned(),
            message: cut(message, MAX_NOTE).to_owned(),
        };
        if self.0.try_send(note).is_err() {
            tracing::debug!(reason, "an Event was dropped: too many wait to be written");
        }
    }
}

async fn write(cluster: Cluster, recorder: Recorder, mut notes: mpsc::Receiver<Note>) {
    let mut limits = Limits::default();
    while let Some(note) = notes.recv().await {
        let uid = Uid::parse(note.about.uid.as_deref().unwrap_or_default());
        if !limits.admit(uid, Instant::now()) {
            tracing::debug!(reason = note.reason, "an Event was dropped: its object has too many");
            continue;
        }
        let event = Event {
            type_: match note.tone {
                Tone::Normal => EventType::Normal,
                Tone::Warning => EventType::Warning,
            },
            action: "Reconcile".to_owned(),
            reason: note.reason,
            note: Some(note.message),
            secondary: None,
        };
        if let Err(error) = cluster.call("write an Event", recorder.publish(&event, &note.about)).await {
            tracing::debug!(%error, "an Event was not written");
        }
    }
}

/// Tokens per object.
#[derive(Default)]
struct Limits(HashMap<Uid, (u32, Instant)>);

impl Limits {
    fn admit(&mut self, uid: Uid, now: Instant) -> bool {
        if self.0.len() > 4096 {
            // Whoever was quiet long enough to have all tokens again needs no entry.
            self.0.retain(|_, (_, since)| now.duration_since(*since) < REFILL * BURST);
        }
        let (tokens, since) = self.0.entry(uid).or_insert((BURST, now));
        let earned = u32::try_from(now.duration_since(*since).as_secs() / REFILL.as_secs()).unwrap_or(BURST);
        if earned > 0 {
            *tokens = tokens.saturating_add(earned).min(BURST);
            *since = now;
        }
        let admitted = *tokens > 0;
        *tokens = tokens.saturating_sub(1);
        admitted
    }
}

/// At most `bytes` of a text, cut between characters.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_burst_of_events_and_then_few() {
        let mut limits = Limits::default();
        let (now, one, other) = (Instant::now(), Uid::parse("1"), Uid::parse("2"));
        let admitted = (0..100).filter(|_| limits.admit(one, now)).count();
        assert_eq!(admitted, 25);
        assert!(limits.admit(other, now));
        assert!(!limits.admit(one, now + Duration::from_secs(299)));
        assert!(limits.admit(one, now + Duration::from_secs(300)));
        assert!(!limits.admit(one, now + Duration::from_secs(301)));
        let later = now + Duration::from_secs(1_000_000);
        assert_eq!((0..100).filter(|_| limits.admit(one, later)).count(), 25);
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
        assert_eq!(cut("", 3), "");
    }
}
