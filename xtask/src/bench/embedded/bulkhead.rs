//! Some producers push what costs more than it should: what the others notice of it, and what it costs.
//!
//! Windows without and with poison take turns. Within a window the poison arrives over its first half, so that the others
//! are measured beside it, and not beside a queue of pushes that came in one moment; after it each poisoned producer is
//! as before.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use lb_vocab::Limits;
use tokio::time::{Instant, sleep_until};

use super::World;
use super::poison::{Dose, Poison, doses};
use super::population::{Push, Repository};
use super::pushes::{Pushes, RATE};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::say::say;

/// Of so many producers one is poisoned.
const OF: usize = 10;

/// What one kind of window has shown.
#[derive(Default)]
struct Shown {
    /// From a push of the others to applied, milliseconds.
    took: Vec<f64>,
    /// CPU of all roles, seconds,
    cpu: f64,
    /// of these the Actualizer's,
    actualizer: f64,
    /// within so many.
    seconds: f64,
}

/// Measures both kinds of windows in turn.
pub(in crate::bench) async fn bulkhead(bench: &mut Bench, world: &mut World) -> Result<()> {
    let (turns, seconds) = if bench.quick { (1, 5) } else { (3, 60) };
    let all = world.population.count;
    let poisoned: Vec<usize> = (all - all.div_ceil(OF)..all).collect();
    let (others, each) = (all - poisoned.len(), seconds * RATE as usize);
    say(&format!("making {} pushes, and the poison of {} producers", turns * 2 * each, poisoned.len()));
    let pushes = world.population.pushes((0..turns * 2 * each).map(|number| number % others))?;
    let mut poison = Vec::new();
    for _ in 0..turns {
        poison.push(doses(&mut world.population, &poisoned, seconds)?);
    }
    // A git host that has measured a repository at a push would not notice what we put there.
    world.roles.stop_services().await;
    let _full = Full::fill(world, &poison)?;
    world.roles.start_services().await?;
    world.quiet().await?;
    let before = world.roles.actualizer.usage()?.resident;

    let pushes = Pushes::start(world, pushes).await?;
    let (mut calm, mut sick, mut resident) = (Shown::default(), Shown::default(), before);
    let attack = Attack { world, span: Duration::from_secs(seconds as u64), refused: AtomicUsize::new(0) };
    for (turn, doses) in poison.iter().enumerate() {
        let (first, mut sent) = (turn * 2 * each, Vec::new());
        window(&mut calm, world, pushes.steadily(first..first + each, || true)).await?;
        let beside = async {
            let over = AtomicBool::new(false);
            let going_on = async {
                let took = pushes.steadily(first + each..first + 2 * each, || true).await;
                over.store(true, Ordering::Relaxed);
                took
            };
            let (took, pushed) = tokio::try_join!(going_on, attack.run(doses, &over))?;
            sent = pushed;
            Ok(took)
        };
        window(&mut sick, world, beside).await?;
        resident = resident.max(world.roles.actualizer.usage()?.resident);
        for (dose, sent) in doses.iter().zip(sent) {
            // What the window's end kept back comes now: the next dose is made upon it.
            for push in dose.pushes[sent..].iter().chain(&dose.cure) {
                world.send(push).await?;
            }
        }
        world.quiet().await?;
    }
    let memory = resident - before;
    let refused = attack.refused.load(Ordering::Relaxed);
    note(bench, calm, sick, memory, [poisoned.len(), all, refused]);
    Ok(())
}

fn note(bench: &mut Bench, mut calm: Shown, mut sick: Shown, memory: f64, counts: [usize; 3]) {
    let [poisoned, all, refused] = counts;
    let figures = &mut bench.figures;
    let without = percentile(&mut calm.took, 0.99);
    let what = format!("push to applied, nobody poisoned, p99 of {}", calm.took.len());
    figures.note(what, "ms", Limit::Told, without);
    let limit = Limit::AtMost((without * 1.25).max(without + 50.0));
    let what = format!("the same, {poisoned} of {all} producers poisoned");
    figures.note(what, "ms", limit, percentile(&mut sick.took, 0.99));
    let each = memory / poisoned as f64;
    figures.note("the Actualizer's memory per poisoned producer", "MiB", Limit::AtMost(1.0), each);
    let each = |cpu: fn(&Shown) -> f64| {
        let more = cpu(&sick) / sick.seconds - cpu(&calm) / calm.seconds;
        more * 60_000.0 / poisoned as f64
    };
    // In a short window the poison's arrival is most of what there is.
    let limit = if bench.quick { Limit::Told } else { Limit::AtMost(50.0) };
    let what = "CPU a minute per poisoned producer";
    figures.note(format!("{what}, all roles"), "ms", limit, each(|shown| shown.cpu));
    figures.note(format!("{what}, the Actualizer"), "ms", Limit::Told, each(|shown| shown.actualizer));
    figures.note("pushes beyond the git host's limits, refused", "", Limit::Told, refused as f64);
}

/// Runs one window and adds what it showed.
async fn window(
    shown: &mut Shown,
    world: &World,
    pushes: impl Future<Output = Result<Vec<f64>>>,
) -> Result<()> {
    let cpu = || Ok::<_, anyhow::Error>((world.roles.usage()?.cpu, world.roles.actualizer.usage()?.cpu));
    let (before, begin) = (cpu()?, Instant::now());
    shown.took.extend(pushes.await?);
    shown.seconds += begin.elapsed().as_secs_f64();
    let after = cpu()?;
    shown.cpu += after.0 - before.0;
    shown.actualizer += after.1 - before.1;
    Ok(())
}

/// Poison on its way.
struct Attack<'a> {
    world: &'a World,
    /// How long a window is.
    span: Duration,
    /// Pushes that the git host refused.
    refused: AtomicUsize,
}

impl Attack<'_> {
    /// Sends all doses, each at its moment; answers how many pushes of each were sent before all was over.
    async fn run(&self, doses: &[Dose], over: &AtomicBool) -> Result<Vec<usize>> {
        let begin = Instant::now();
        let between = self.span / 2 / u32::try_from(doses.len()).unwrap_or(u32::MAX).max(1);
        let each =
            doses.iter().zip(0_u32..).map(|(dose, number)| self.dose(dose, begin + between * number, over));
        try_join_all(each).await
    }

    async fn dose(&self, dose: &Dose, begin: Instant, over: &AtomicBool) -> Result<usize> {
        for (sent, push) in dose.pushes.iter().enumerate() {
            sleep_until(begin + Duration::from_secs(sent as u64)).await;
            if over.load(Ordering::Relaxed) && sent > 0 {
                return Ok(sent);
            }
            if dose.poison.is_refused() {
                self.refused(dose.poison, push).await?;
            } else {
                self.world.send(push).await?;
            }
        }
        Ok(dose.pushes.len())
    }

    /// Sends a push that must not be taken.
    async fn refused(&self, poison: Poison, push: &Push) -> Result<()> {
        let roles = &self.world.roles;
        let authorize = |request| roles.as_operator(request);
        let url = self.world.url(push);
        let taken = if poison == Poison::PushBytes {
            let large = push.prepared.padded(Limits::default().push_bytes + 1);
            large.send(&roles.http, &url, authorize).await
        } else {
            push.prepared.send(&roles.http, &url, authorize).await
        };
        if taken.is_ok() {
            bail!("{url} took a push that is beyond a limit ({poison:?})");
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// Files that make repositories as large as they may be, without a byte on the disk; removed at the end.
struct Full(Vec<PathBuf>);

impl Full {
    fn fill(world: &World, poison: &[Vec<Dose>]) -> Result<Self> {
        let mut full = Self(Vec::new());
        for dose in poison.iter().flatten().filter(|dose| dose.poison == Poison::RepositoryBytes) {
            for push in &dose.pushes {
                let git = world.population.git(push.index, Repository::Dev);
                let path = git.join("objects/pack/large.bin");
                let file = std::fs::File::create(&path);
                let sized = file.and_then(|file| file.set_len(Limits::default().repository_bytes + 1));
                sized.with_context(|| format!("make {}", path.display()))?;
                full.0.push(path);
            }
        }
        Ok(full)
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        for path in &self.0 {
            // Several doses share one.
            let _ = std::fs::remove_file(path);
        }
    }
}
