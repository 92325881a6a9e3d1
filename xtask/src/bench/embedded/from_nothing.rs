//! All producers from nothing: git is full, the cluster is empty, the Actualizer starts.

use anyhow::Result;

use super::applied::until_applied;
use super::baseline::{Outcome, Recording};
use super::memory::limit;
use super::{PATIENCE, World};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::measure::{Usage, millis, now};
use crate::bench::system::timestamp;
use crate::say::say;

/// What one run took.
#[derive(Clone, Copy)]
struct Taken {
    /// Until all were applied, seconds.
    wall: f64,
    /// CPU of all our roles, and of the API server, in that time; seconds.
    ours: f64,
    theirs: f64,
    requests: f64,
    /// The Actualizer's memory, MiB.
    peak: f64,
}

/// Measures runs of ours and of a minimal client in turn, each in a new cluster. The last world of ours stays, idle.
pub(in crate::bench) async fn from_nothing(bench: &mut Bench) -> Result<World> {
    let (mut world, taken) = run(bench).await?;
    let recording = Recording::of(&world.cluster, bench.producers).await?;
    let concurrency = recording.best_concurrency(bench).await?;
    let (mut ours, mut theirs) = (vec![taken], Vec::new());
    while ours.len() < bench.runs {
        world.stop().await;
        theirs.push(recording.replay(bench, concurrency).await?);
        let taken;
        (world, taken) = run(bench).await?;
        ours.push(taken);
    }
    theirs.push(recording.replay(bench, concurrency).await?);
    note(bench, &ours, &theirs, recording.necessary());
    Ok(world)
}

/// The same without a client to compare with.
pub(in crate::bench) async fn once(bench: &mut Bench) -> Result<World> {
    let (world, taken) = run(bench).await?;
    bench.figures.note("all producers applied after", "s", Limit::Told, taken.wall);
    bench.figures.note("the Actualizer's memory, peak", "MiB", limit(bench.producers), taken.peak);
    Ok(world)
}

/// One run; the Actualizer's own start is in it.
async fn run(bench: &Bench) -> Result<(World, Taken)> {
    let mut world = World::start(bench).await?;
    let (since, begin) = (timestamp(), now());
    let (ours, theirs) = (world.roles.usage()?.cpu, Usage::of(world.cluster.api_server()?)?.cpu);
    say(&format!("from nothing to {} producers", bench.producers));
    world.roles.start_actualizer()?;
    let end = until_applied(world.cluster.client.clone(), bench.producers, PATIENCE).await?;
    let (ours, theirs) =
        (world.roles.usage()?.cpu - ours, Usage::of(world.cluster.api_server()?)?.cpu - theirs);
    world.quiet().await?;
    let asked = world.cluster.audit(&since)?;
    let requests = asked.iter().filter(|asked| asked.verb != "watch").count() as f64;
    world.explain(&since, |_| true)?;
    world.peak = world.roles.actualizer.usage()?.peak;
    let (wall, peak) = (millis(begin, end) / 1000.0, world.peak);
    say(&format!("all are applied after {wall:.1} s"));
    Ok((world, Taken { wall, ours, theirs, requests, peak }))
}

/// The median of what runs of ours took, and of each pair's ratio: what slows the machine slows both of a pair.
fn note(bench: &mut Bench, ours: &[Taken], theirs: &[Outcome], necessary: usize) {
    let runs = ours.len();
    let of = |figure: &dyn Fn(&Taken) -> f64| median(ours.iter().map(figure));
    let figures = &mut bench.figures;
    figures.note(format!("all producers applied after, median of {runs}"), "s", Limit::Told, of(&|t| t.wall));
    figures.note("our CPU (all roles)", "s", Limit::Told, of(&|t| t.ours));
    figures.note("the API server's CPU", "s", Limit::Told, of(&|t| t.theirs));
    figures.note("our CPU to the API server's", "", Limit::AtMost(0.35), of(&|t| t.ours / t.theirs));
    figures.note("requests to the API server", "", Limit::Told, of(&|t| t.requests));
    figures.note("necessary requests", "", Limit::Told, necessary as f64);
    let requests = of(&|t| t.requests / necessary as f64);
    figures.note("requests to necessary ones", "", Limit::AtMost(1.1), requests);
    let peak = ours.iter().map(|taken| taken.peak).fold(0.0, f64::max);
    figures.note("the Actualizer's memory, highest peak", "MiB", limit(bench.producers), peak);
    let client = median(theirs.iter().map(|one| one.seconds));
    figures.note("the same objects by a minimal client", "s", Limit::Told, client);
    if let Some(one) = theirs.first() {
        figures.note("its requests at once", "", Limit::Told, one.concurrency as f64);
    }
    let server = median(theirs.iter().map(|one| one.api_server));
    figures.note("the API server's CPU for it", "s", Limit::Told, server);
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours.wall / theirs.seconds);
    let what = format!("wall time to that client's, median of {runs} pairs");
    figures.note(what, "", Limit::AtMost(1.35), median(ratios));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    percentile(&mut values.collect::<Vec<_>>(), 0.5)
}
