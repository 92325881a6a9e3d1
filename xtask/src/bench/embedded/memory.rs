//! What memory the Actualizer takes, and how much each further producer adds.

use anyhow::Result;

use super::applied::until_applied;
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::Limit;

/// Measures it. `peak` is the most that any Actualizer of this run has taken so far.
pub(in crate::bench) async fn memory(bench: &mut Bench, world: &mut World) -> Result<()> {
    let (before, more) = (world.population.count, world.population.count);
    let peak = world.roles.actualizer.usage()?.peak;
    bench.figures.note(
        format!("peak since its start, {before} producers"),
        "MiB",
        Limit::AtMost(120.0),
        peak,
    );
    let few = fresh(world, before).await?;
    bench.figures.note(format!("peak of a restart, {before} producers"), "MiB", Limit::AtMost(120.0), few);

    world.roles.stop().await;
    world.population.add(more)?;
    world.roles.start_services().await?;
    world.roles.start_actualizer()?;
    until_applied(world.cluster.client.clone(), before + more, PATIENCE).await?;
    world.quiet().await?;
    let most = world.roles.actualizer.usage()?.peak;
    bench.figures.note(format!("peak while {more} more come"), "MiB", Limit::Told, most);
    let many = fresh(world, before + more).await?;
    bench.figures.note(format!("peak of a restart, {} producers", before + more), "MiB", Limit::Told, many);
    let each = (many - few) * 1024.0 / more as f64;
    bench.figures.note("peak of a restart, per further producer", "KiB", Limit::AtMost(20.0), each);
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
