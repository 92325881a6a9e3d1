//! What memory the Actualizer takes, and how much each further producer adds.

use anyhow::Result;

use super::applied::until_applied;
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::Limit;

/// What it may take with so many producers, MiB.
const PEAK: (f64, f64) = (1000.0, 120.0);
/// What each further one may add, KiB.
const EACH: f64 = 20.0;

/// What it may take at most, MiB.
pub(super) fn limit(producers: usize) -> Limit {
    let (first, peak) = PEAK;
    Limit::AtMost(peak + (producers as f64 - first).max(0.0) * EACH / 1024.0)
}

/// Measures it with the producers that there are, lets more come until there are five times as many as at first (twice
/// as many with `--quick`), and measures it again.
pub(in crate::bench) async fn memory(bench: &mut Bench, world: &mut World) -> Result<()> {
    let before = world.population.count;
    let all = (bench.producers * if bench.quick { 2 } else { 5 }).max(before + 1);
    let more = all - before;
    let few = fresh(world, before).await?;
    bench.figures.note(format!("peak of a restart, {before} producers"), "MiB", limit(before), few);

    world.roles.stop().await;
    world.population.add(more)?;
    world.roles.start_services().await?;
    world.roles.start_actualizer()?;
    until_applied(world.cluster.client.clone(), all, PATIENCE).await?;
    world.quiet().await?;
    let most = world.roles.actualizer.usage()?.peak;
    bench.figures.note(format!("peak while {more} more come"), "MiB", limit(all), most);
    let many = fresh(world, all).await?;
    bench.figures.note(format!("peak of a restart, {all} producers"), "MiB", limit(all), many);
    let each = |more_memory: f64, producers: usize| more_memory * 1024.0 / producers as f64;
    let what = "per further producer";
    bench.figures.note(
        format!("peak of a restart, {what}"),
        "KiB",
        Limit::AtMost(EACH),
        each(many - few, more),
    );
    bench.figures.note(
        format!("peak while they come from nothing, {what}"),
        "KiB",
        Limit::AtMost(EACH),
        each(most - world.peak, all - bench.producers),
    );
    Ok(())
}

/// Restarts the Actualizer and answers its peak once it has caught up.
async fn fresh(world: &mut World, producers: usize) -> Result<f64> {
    world.roles.actualizer.stop().await;
    world.roles.start_actualizer()?;
    world.roles.actualizer_is_ready().await?;
    until_applied(world.cluster.client.clone(), producers, PATIENCE).await?;
    world.quiet().await?;
    Ok(world.roles.actualizer.usage()?.peak)
}
