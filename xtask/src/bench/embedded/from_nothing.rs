//! All producers from nothing: git is full, the cluster is empty, the Actualizer starts.

use anyhow::Result;

use super::applied::until_applied;
use super::baseline::{self, Recording};
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::Limit;
use crate::bench::measure::{Usage, millis, now};
use crate::bench::system::timestamp;
use crate::say::say;

/// What it took.
pub(in crate::bench) struct Taken {
    wall: f64,
    requests: f64,
}

/// Starts the world and measures it. The Actualizer's own start is in it.
pub(in crate::bench) async fn from_nothing(bench: &mut Bench) -> Result<(World, Taken)> {
    let mut world = World::start(bench).await?;
    let (since, begin) = (timestamp(), now());
    let (ours, theirs) = (world.roles.usage()?.cpu, Usage::of(world.cluster.api_server()?)?.cpu);
    say(&format!("from nothing to {} producers", bench.producers));
    world.roles.start_actualizer()?;
    let end = until_applied(world.cluster.client.clone(), bench.producers, PATIENCE).await?;
    let wall = millis(begin, end) / 1000.0;
    // Until the controllers have done what follows from it, too: the API server serves both at the same time.
    let (ours, theirs) =
        (world.roles.usage()?.cpu - ours, Usage::of(world.cluster.api_server()?)?.cpu - theirs);
    world.quiet().await?;
    let asked = world.cluster.audit(&since)?;
    let requests = asked.iter().filter(|asked| asked.verb != "watch").count() as f64;
    let figures = &mut bench.figures;
    figures.note("all producers applied after", "s", Limit::Told, wall);
    figures.note("our CPU (all roles)", "s", Limit::Told, ours);
    figures.note("the API server's CPU", "s", Limit::Told, theirs);
    figures.note("our CPU to the API server's", "", Limit::AtMost(0.35), ours / theirs);
    figures.note("requests to the API server", "", Limit::Told, requests);
    let peak = world.roles.actualizer.usage()?.peak;
    figures.note("the Actualizer's memory, peak", "MiB", Limit::AtMost(120.0), peak);
    world.explain(&since, |_| true)?;
    Ok((world, Taken { wall, requests }))
}

/// Compares it with the least that it could take.
pub(in crate::bench) async fn baseline(bench: &mut Bench, world: &World, taken: &Taken) -> Result<()> {
    let recording = Recording::of(&world.cluster, bench.producers).await?;
    let necessary = recording.necessary() as f64;
    bench.figures.note("necessary requests", "", Limit::Told, necessary);
    bench.figures.note("requests to necessary ones", "", Limit::AtMost(1.1), taken.requests / necessary);
    let best = baseline::run(bench, &recording).await?;
    bench.figures.note("the same objects by a minimal client", "s", Limit::Told, best.seconds);
    bench.figures.note("its requests at once", "", Limit::Told, best.concurrency as f64);
    bench.figures.note("the API server's CPU for it", "s", Limit::Told, best.api_server);
    bench.figures.note("wall time to that client's", "", Limit::AtMost(1.35), taken.wall / best.seconds);
    Ok(())
}
