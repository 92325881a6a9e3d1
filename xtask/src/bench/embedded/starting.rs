//! Pushes to producers that stand, while many others start from nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use super::applied::{until_applied, until_known};
use super::pushes::{Pushes, RATE};
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::measure::{millis, now};
use crate::say::say;

/// Measures it. The others are in git when git-api and the configstore come back; the Actualizer runs on,
/// and pushes begin when it knows the first of the others.
pub(in crate::bench) async fn starting(bench: &mut Bench, world: &mut World) -> Result<()> {
    let (more, seconds) = if bench.quick { (50, 30) } else { (500, 300) };
    let before = world.population.count;
    say(&format!("making {} pushes and {more} more producers", seconds * RATE));
    let pushes = world.population.pushes((0..(seconds * RATE) as usize).map(|number| number % before))?;
    world.quiet().await?;
    world.roles.stop_services().await;
    world.population.add(more)?;
    world.roles.start_services().await?;

    // Pushes that the Actualizer cannot be told of yet would measure how it comes back to git-api.
    until_known(world.cluster.client.clone(), before + 1, PATIENCE).await?;

    let pushes = Pushes::start(world, pushes).await?;
    let (all, begin) = (AtomicBool::new(false), now());
    let others = async {
        let applied = until_applied(world.cluster.client.clone(), before + more, PATIENCE).await;
        all.store(true, Ordering::Relaxed);
        applied
    };
    let going_on = pushes.steadily(0..pushes.len(), || !all.load(Ordering::Relaxed));
    let (end, mut took) = tokio::try_join!(others, going_on)?;
    let figures = &mut bench.figures;
    let what = format!("push to applied, {RATE} a second while {more} others start, p99 of {}", took.len());
    figures.note(what, "ms", Limit::AtMost(1000.0), percentile(&mut took, 0.99));
    figures.note("the same, p50", "ms", Limit::Told, percentile(&mut took, 0.5));
    figures.note("the others applied after", "s", Limit::Told, millis(begin, end) / 1000.0);
    drop(pushes);
    world.quiet().await
}
