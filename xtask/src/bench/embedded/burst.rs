//! Many pushes to one producer, one after the other as fast as they go: the first is applied at once, and soon after the
//! last one it alone stands.

use anyhow::{Context, Result};

use super::World;
use super::pushes::PATIENCE;
use super::rounds::Rounds;
use crate::bench::Bench;
use crate::bench::figure::Limit;
use crate::bench::measure::millis;
use crate::say::say;

/// Pushes of a burst.
const PUSHES: usize = 20;
/// The Actualizer's default `APPLY_INTERVAL`: from one apply of a producer to the next, milliseconds.
const INTERVAL: f64 = 500.0;
/// What a push may take on an idle system (p99), milliseconds, where this run did not measure it.
const ONE: f64 = 250.0;

/// How one burst went, milliseconds.
struct Burst {
    /// From the first push until something newer than before stood.
    first: f64,
    /// From the last push until it stood.
    newest: f64,
    /// From the first push to the last.
    lasted: f64,
    /// How often something else came to stand.
    applied: usize,
}

/// Measures bursts to several producers, and notes the slowest of each figure.
pub(in crate::bench) async fn burst(bench: &mut Bench, world: &mut World) -> Result<()> {
    let producers = world.population.count.min(if bench.quick { 2 } else { 10 });
    say(&format!("{PUSHES} pushes to each of {producers} producers"));
    let mut all = Vec::new();
    for index in 0..producers {
        all.push(one(world, index).await?);
        world.quiet().await?;
    }
    let most = |figure: fn(&Burst) -> f64| all.iter().map(figure).fold(0.0, f64::max);
    let figures = &mut bench.figures;
    let what = format!("{PUSHES} pushes at once, most of {producers}");
    let one = world.idle_p99.unwrap_or(ONE);
    figures.note(format!("{what}: first to applied"), "ms", Limit::AtMost(ONE), most(|burst| burst.first));
    let newest = most(|burst| burst.newest);
    figures.note("the same: last to applied", "ms", Limit::AtMost(INTERVAL + one), newest);
    figures.note("the same: from first to last", "ms", Limit::Told, most(|burst| burst.lasted));
    figures.note("the same: times applied", "", Limit::Told, most(|burst| burst.applied as f64));
    Ok(())
}

async fn one(world: &mut World, index: usize) -> Result<Burst> {
    let pushes = world.population.pushes([index; PUSHES])?;
    let rounds = Rounds::watch(&world.cluster.client, index);
    let before = pushes.first().context("a burst has pushes")?.round - 1;
    rounds.until(before, PATIENCE).await?;
    let mut written = Vec::new();
    for push in &pushes {
        written.push(world.send(push).await?);
    }
    let (begin, end) = written.first().zip(written.last()).context("a burst has pushes")?;
    let newest = rounds.until(before + PUSHES, PATIENCE).await?;
    let stood = rounds.stood();
    let after = stood.iter().filter(|(round, _)| *round > before);
    let first = after.clone().map(|(_, when)| *when).next().context("something newer stands")?;
    Ok(Burst {
        first: millis(*begin, first),
        newest: millis(*end, newest),
        lasted: millis(*begin, *end),
        applied: after.count(),
    })
}
