//! Pushes to many producers, and what somebody else sees of them.

use std::collections::HashMap;
use std::ops::Range;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::World;
use super::population::{Push, name};
use crate::bench::measure::millis;
use crate::bench::watcher::Watcher;

/// How long one push may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Pushes a second, where many go on.
pub(super) const RATE: u32 = 5;

/// Pushes that were made before, while nothing else moves these producers' gateways.
pub(super) struct Pushes<'a> {
    world: &'a World,
    watcher: Watcher,
    /// Each with the generation that its Deployment has then.
    all: Vec<(Push, i64)>,
}

/// The Deployment that a push changes last.
pub(super) fn deployment(index: usize) -> String {
    format!("gateway-{}-dev-main0", name(index))
}

impl<'a> Pushes<'a> {
    /// Begins to watch. What was pushed before must stand.
    pub(super) async fn start(world: &'a World, pushes: Vec<Push>) -> Result<Self> {
        let watcher = Watcher::start(world.cluster.client.clone()).await?;
        let mut generations: HashMap<usize, i64> = HashMap::new();
        let all = pushes.into_iter().map(|push| {
            let first = || watcher.generation(&deployment(push.index));
            let generation = generations.entry(push.index).or_insert_with(first);
            *generation += 1;
            (push, *generation)
        });
        let all = all.collect();
        Ok(Self { world, watcher, all })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Sends one; milliseconds from the moment that the reference was written until somebody else has seen the
    /// Deployment that follows from it.
    pub(super) async fn one(&self, number: usize) -> Result<f64> {
        let (push, generation) = self.all.get(number).context("more pushes than were made")?;
        let written = self.world.send(push).await?;
        let applied = self.watcher.until(&deployment(push.index), *generation, PATIENCE).await?;
        Ok(millis(written, applied))
    }

    /// Sends some of them, [`RATE`] a second whether earlier ones are applied or not, as long as `more` says so.
    pub(super) async fn steadily(&self, some: Range<usize>, more: impl Fn() -> bool) -> Result<Vec<f64>> {
        let (mut running, mut took) = (FuturesUnordered::new(), Vec::new());
        let (mut next, mut waiting) = (Instant::now(), some);
        loop {
            tokio::select! {
                () = sleep_until(next), if !waiting.is_empty() => match waiting.next() {
                    Some(number) if more() => {
                        running.push(self.one(number));
                        next += Duration::from_secs(1) / RATE;
                    }
                    _ => waiting = 0..0,
                },
                Some(one) = running.next() => took.push(one?),
                else => return Ok(took),
            }
        }
    }
}

impl World {
    /// Sends a push. Answers when the branch was written: the stamp of its file, which is at most some milliseconds
    /// older.
    pub(super) async fn send(&self, push: &Push) -> Result<SystemTime> {
        let roles = &self.roles;
        push.prepared.send(&roles.http, &self.url(push), |request| roles.as_operator(request)).await?;
        let path = self.population.git(push.index, push.repository).join("refs/heads/master");
        let metadata = std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?;
        metadata.modified().with_context(|| format!("read the stamp of {}", path.display()))
    }

    /// Where a push goes.
    pub(super) fn url(&self, push: &Push) -> String {
        let (host, name) = (self.roles.git_api.url(), name(push.index));
        format!("{host}/customer-{name}/{}.git", push.repository.name())
    }
}
