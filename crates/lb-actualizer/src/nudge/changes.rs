//! Nudges from git: one change stream over all producers, and the sweep as its safety net.
//!
//! Both read the same journal behind the same cursor, one after the other in one task, so that the cursor only moves
//! forward. A sweep that finds nothing is one request with an empty answer.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use lb_http::contract::ClientError;
use lb_http::contract::git_api::{Change, ChangeEvent, ChangeKind, Changes};
use lb_vocab::ProducerName;
use tokio::time::MissedTickBehavior;

use crate::context::{Context, Key};
use crate::heads::Reference;
use crate::queue::Class;

/// Reconnecting to the stream waits this many sweeps at most; meanwhile the sweep does its work.
const MAX_WAIT: u32 = 32;

type Stream = BoxStream<'static, Result<ChangeEvent, ClientError>>;

/// Follows changes until the process ends.
pub(crate) async fn follow(context: Arc<Context>) {
    let mut follower = Follower { context, cursor: None, stream: None, wait: 0, failures: 0 };
    let mut ticks =
        tokio::time::interval(follower.context.settings.sweep_interval.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            event = next(&mut follower.stream) => follower.event(event),
            _ = ticks.tick() => follower.sweep().await,
        }
    }
}

async fn next(stream: &mut Option<Stream>) -> Option<Result<ChangeEvent, ClientError>> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

struct Follower {
    context: Arc<Context>,
    cursor: Option<String>,
    stream: Option<Stream>,
    /// Sweeps until the stream is tried again.
    wait: u32,
    failures: u32,
}

impl Follower {
    fn event(&mut self, event: Option<Result<ChangeEvent, ClientError>>) {
        match event {
            Some(Ok(ChangeEvent::Change(change))) => {
                self.cursor = Some(change.cursor.clone());
                self.note(&change);
            }
            Some(Ok(ChangeEvent::Reset(changes))) => self.take(changes),
            Some(Err(error)) => {
                tracing::warn!(%error, "the change stream broke; the sweep goes on");
                self.lost();
            }
            None => self.lost(),
        }
    }

    fn lost(&mut self) {
        self.stream = None;
        self.wait = (1 << self.failures.min(5)).min(MAX_WAIT);
        self.failures += 1;
    }

    async fn sweep(&mut self) {
        match self.context.git.changes(self.cursor.as_deref()).await {
            Ok(changes) => {
                self.context.upstream.git_api.answered();
                self.take(changes);
                self.connect().await;
            }
            Err(error) => self.context.upstream.git_api.failed(&error),
        }
    }

    async fn connect(&mut self) {
        if self.stream.is_some() {
            return;
        }
        if self.wait > 0 {
            self.wait -= 1;
            return;
        }
        match self.context.git.change_stream(self.cursor.as_deref()).await {
            Ok(stream) => {
                self.stream = Some(stream);
                self.failures = 0;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot open the change stream; the sweep goes on");
                self.lost();
            }
        }
    }

    fn take(&mut self, changes: Changes) {
        self.cursor = Some(changes.cursor);
        if changes.reset {
            let heads = changes.changes.iter().filter_map(|change| {
                let (producer, reference) = self.read(change)?;
                match &change.kind {
                    ChangeKind::Push { after: Some(after), .. } => Some((producer, reference, after.clone())),
                    ChangeKind::Push { after: None, .. } | ChangeKind::Created | ChangeKind::Deleted => None,
                }
            });
            let news = self.context.heads.replace(heads);
            self.context.upstream.git_api.caught_up();
            self.context.telling.reset();
            // Whoever has no reference any more is in no listing: everybody known is looked at, which costs nothing
            // where nothing changed.
            for producer in news.into_iter().chain(self.context.stores.producer_names()) {
                self.context.dispatch.queue.nudge(Key::Producer(producer), Class::Resync);
            }
        } else {
            for change in &changes.changes {
                self.note(change);
            }
        }
    }

    fn note(&self, change: &Change) {
        let Some(producer) = self.producer(change) else { return };
        let news = match &change.kind {
            ChangeKind::Push { after, .. } => self.read(change).is_some_and(|(producer, reference)| {
                self.context.heads.note(&producer, &reference, after.clone())
            }),
            ChangeKind::Created | ChangeKind::Deleted => true,
        };
        if news {
            self.context.dispatch.queue.nudge(Key::Producer(producer), Class::Interactive);
        }
    }

    fn producer(&self, change: &Change) -> Option<ProducerName> {
        let ours = change.user.prefix == self.context.settings.desired.prefix;
        change.user.producer().ok().filter(|_| ours)
    }

    fn read(&self, change: &Change) -> Option<(ProducerName, Reference)> {
        let ChangeKind::Push { reference, .. } = &change.kind else { return None };
        let reference = Reference::read(change.repo.as_ref()?.as_str(), reference)?;
        Some((self.producer(change)?, reference))
    }
}
