//! From a push to the objects that it asks for.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until};

use super::World;
use super::population::name;
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::measure::millis;
use crate::bench::push::Prepared;
use crate::bench::watcher::Watcher;
use crate::say::say;

/// How long one push may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one push being applied to the next push, where nothing else goes on.
const PAUSE: Duration = Duration::from_millis(150);
/// Pushes a second, where many go on.
const RATE: u32 = 5;

/// Measures pushes alone, then many.
pub(in crate::bench) async fn push(bench: &mut Bench, world: &World) -> Result<()> {
    let (alone, seconds) = if bench.quick { (30, 15) } else { (200, 120) };
    let total = alone + seconds * RATE as usize;
    let producers = bench.producers.min(total);
    let rounds = total.div_ceil(producers);
    say(&format!("making the commits of {total} pushes"));
    world.population.rounds(producers, 1..=rounds)?;
    let pushes = Pushes::prepare(world, total, producers)?;
    let watcher = Watcher::start(world.cluster.client.clone()).await?;
    let first: HashMap<usize, i64> =
        (0..producers).map(|index| (index, watcher.generation(&deployment(index)))).collect();
    // Connections of both sides are open, and what is read once was read.
    let warm = 5.min(alone);

    let mut millis_alone = Vec::new();
    for number in 0..alone {
        let took = pushes.one(&watcher, &first, number).await?;
        if number >= warm {
            millis_alone.push(took);
        }
        sleep(PAUSE).await;
    }
    let figures = &mut bench.figures;
    let count = millis_alone.len();
    figures.note(
        format!("push to applied, idle, p50 of {count}"),
        "ms",
        Limit::AtMost(60.0),
        percentile(&mut millis_alone, 0.5),
    );
    figures.note(
        "push to applied, idle, p99",
        "ms",
        Limit::AtMost(250.0),
        percentile(&mut millis_alone, 0.99),
    );

    let (begin, mut running, mut millis_many) = (Instant::now(), FuturesUnordered::new(), Vec::new());
    for number in alone..total {
        sleep_until(begin + Duration::from_secs(1) * u32::try_from(number - alone)? / RATE).await;
        running.push(pushes.one(&watcher, &first, number));
        // Those that run go on while the next one's time comes.
        while let Some(Some(took)) = futures::FutureExt::now_or_never(running.next()) {
            millis_many.push(took?);
        }
    }
    while let Some(took) = running.next().await {
        millis_many.push(took?);
    }
    let what = format!("push to applied, {RATE} a second for {seconds} s, p99");
    bench.figures.note(what, "ms", Limit::AtMost(500.0), percentile(&mut millis_many, 0.99));
    bench.figures.note("the same, p50", "ms", Limit::Told, percentile(&mut millis_many, 0.5));
    world.quiet().await
}

/// The Deployment that a push changes last.
fn deployment(index: usize) -> String {
    format!("gateway-{}-dev-main0", name(index))
}

/// Pushes that were made before.
struct Pushes<'a> {
    world: &'a World,
    producers: usize,
    all: Vec<Prepared>,
}

impl<'a> Pushes<'a> {
    fn prepare(world: &'a World, total: usize, producers: usize) -> Result<Self> {
        let push = |number: usize| world.population.push(number % producers, number / producers + 1);
        Ok(Self { world, producers, all: (0..total).map(push).collect::<Result<_>>()? })
    }

    /// Sends one; milliseconds from the moment that the reference was written until somebody else has seen the
    /// Deployment that follows from it.
    async fn one(&self, watcher: &Watcher, first: &HashMap<usize, i64>, number: usize) -> Result<f64> {
        let (index, round) = (number % self.producers, number / self.producers + 1);
        let roles = &self.world.roles;
        let repository = format!("{}/customer-{}/dev.git", roles.git_api.url(), name(index));
        self.all[number].send(&roles.http, &repository, |request| roles.as_operator(request)).await?;
        let written = self.written(index)?;
        let generation = first.get(&index).copied().unwrap_or_default() + i64::try_from(round)?;
        let applied = watcher.until(&deployment(index), generation, PATIENCE).await?;
        Ok(millis(written, applied))
    }

    /// When `master` was written: the stamp of its file, which is at most some milliseconds older.
    fn written(&self, index: usize) -> Result<SystemTime> {
        let path = self.world.population.master(index);
        let metadata = std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?;
        metadata.modified().with_context(|| format!("read the stamp of {}", path.display()))
    }
}
