//! From a push to the objects that it asks for.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::World;
use super::pushes::{Pushes, RATE};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::say::say;

/// From one push being applied to the next push, where nothing else goes on.
const PAUSE: Duration = Duration::from_millis(150);

/// Measures pushes alone, then many.
pub(in crate::bench) async fn push(bench: &mut Bench, world: &mut World) -> Result<()> {
    let (alone, seconds) = if bench.quick { (30, 10) } else { (200, 120) };
    let total = alone + seconds * RATE as usize;
    say(&format!("making {total} pushes"));
    let producers = world.population.count;
    let pushes = world.population.pushes((0..total).map(|number| number % producers))?;
    let pushes = Pushes::start(world, pushes).await?;
    // Connections of both sides are open, and what is read once was read.
    let warm = 5.min(alone);

    let mut took = Vec::new();
    for number in 0..alone {
        let one = pushes.one(number).await?;
        if number >= warm {
            took.push(one);
        }
        sleep(PAUSE).await;
    }
    let (what, count) = ("push to applied, idle", took.len());
    let (half, p99) = (percentile(&mut took, 0.5), percentile(&mut took, 0.99));
    bench.figures.note(format!("{what}, p50 of {count}"), "ms", Limit::AtMost(60.0), half);
    bench.figures.note(format!("{what}, p99"), "ms", Limit::AtMost(250.0), p99);

    let mut took = pushes.steadily(alone..total, || true).await?;
    let what = format!("push to applied, {RATE} a second for {seconds} s, p99");
    bench.figures.note(what, "ms", Limit::AtMost(500.0), percentile(&mut took, 0.99));
    bench.figures.note("the same, p50", "ms", Limit::Told, percentile(&mut took, 0.5));
    drop(pushes);
    world.idle_p99 = Some(p99);
    world.quiet().await
}
