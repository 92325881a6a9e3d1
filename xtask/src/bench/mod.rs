//! `cargo xtask bench`: figures, each with its limit, measured on real parts.

mod core;
mod embedded;
mod faults;
mod figure;
mod gitea;
mod measure;
mod push;
mod roles;
mod system;
mod watcher;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lb_testkit::process::Cleaner;
use serde_json::json;

use crate::command::{cargo, run as run_command, target_directory};
use crate::{runtime, tools};
use figure::Figures;
pub(crate) use gitea::{Load, load};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// These benches alone [default: all but `faults` and `soak`].
    names: Vec<Name>,
    /// With 100 producers (60 at Gitea) and for seconds instead of minutes: shows that everything runs, in three minutes.
    #[arg(long)]
    quick: bool,
    /// Write the figures here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Everything is built: what the command adds when it runs itself as it is released.
    #[arg(long, hide = true)]
    built: bool,
    /// Producers of the benches with the embedded git host [default: 1000, with --quick 100].
    #[arg(long, value_name = "N")]
    producers: Option<usize>,
}

/// A bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Name {
    /// Plan and build of one producer.
    Core,
    /// All producers from an empty cluster, compared with a minimal client.
    FromNothing,
    /// What is asked and burnt when nothing changes.
    Idle,
    /// Push to applied.
    Push,
    /// An Actualizer that comes back.
    Restart,
    /// Memory of the Actualizer.
    Memory,
    /// Requests to Gitea per sweep when nothing changed.
    GiteaSweep,
    /// Push to applied, beyond Gitea's own delivery of a webhook.
    GiteaPush,
    /// Forged and oversized webhooks.
    HookFlood,
    /// Every fault at every call of a producer's life: an hour.
    Faults,
    /// Random pushes, faults and restarts: half an hour.
    Soak,
}

impl Name {
    fn embedded(self) -> bool {
        match self {
            Self::FromNothing | Self::Idle | Self::Push | Self::Restart | Self::Memory => true,
            Self::Core | Self::GiteaSweep | Self::GiteaPush | Self::HookFlood | Self::Faults | Self::Soak => {
                false
            }
        }
    }

    /// Whether it shows that the system holds, not how fast it is: a test, which needs nothing that is released.
    fn is_test(self) -> bool {
        matches!(self, Self::Faults | Self::Soak)
    }
}

/// A run.
struct Bench {
    quick: bool,
    producers: usize,
    program: PathBuf,
    /// Where everything is kept that goes at the end.
    directory: PathBuf,
    figures: Figures,
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut names = arguments.names.clone();
    if names.is_empty() {
        names = Name::value_variants().iter().copied().filter(|name| !name.is_test()).collect();
    }
    if !arguments.built && !names.iter().all(|name| name.is_test()) {
        return released();
    }
    let program = target_directory()?.join("release/lunchbadger");
    let target = target_directory()?.join("bench");
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    let directory = tempfile::Builder::new().prefix("run-").tempdir_in(&target);
    let directory = directory.context("make a directory for what is measured")?.keep();
    let _cleaner = Cleaner::of(&directory)?;
    let producers = arguments.producers.unwrap_or(if arguments.quick { 100 } else { 1000 });
    let mut bench =
        Bench { quick: arguments.quick, producers, program, directory, figures: Figures::default() };
    let load = measure::load();
    runtime()?.block_on(all(&mut bench, &names))?;
    report(&bench, arguments.json.as_deref(), &load)
}

async fn all(bench: &mut Bench, names: &[Name]) -> Result<()> {
    // Those of one world one after the other: it is made once.
    let mut names = names.to_vec();
    names.sort();
    names.dedup();
    let mut world = None;
    for name in names {
        if name.embedded() {
            embedded(bench, name, &mut world).await?;
            continue;
        }
        if let Some(world) = world.take() {
            embedded::World::stop(world).await;
        }
        match name {
            Name::Core => {
                bench.figures.begin("core");
                core::core(bench)?;
            }
            Name::FromNothing | Name::Idle | Name::Push | Name::Restart | Name::Memory => {}
            Name::GiteaSweep => {
                bench.figures.begin("gitea-sweep");
                gitea::sweep(bench).await?;
            }
            Name::GiteaPush => {
                bench.figures.begin("gitea-push");
                gitea::push(bench).await?;
            }
            Name::HookFlood => {
                bench.figures.begin("hook-flood");
                gitea::flood(bench).await?;
            }
            Name::Faults => {
                bench.figures.begin("faults");
                faults::faults(bench)?;
            }
            Name::Soak => {
                bench.figures.begin("soak");
                faults::soak(bench)?;
            }
        }
    }
    Ok(())
}

/// A bench with the embedded git host. The first one of a run makes the world, which is what `from-nothing` measures.
async fn embedded(bench: &mut Bench, name: Name, world: &mut Option<embedded::World>) -> Result<()> {
    let world = match world {
        Some(world) => world,
        None => {
            bench.figures.begin("from-nothing");
            let (made, taken) = embedded::from_nothing(bench).await?;
            let made = world.insert(made);
            if name == Name::FromNothing {
                embedded::baseline(bench, made, &taken).await?;
            }
            made
        }
    };
    match name {
        Name::Idle => {
            bench.figures.begin("idle");
            embedded::idle(bench, world).await
        }
        Name::Push => {
            bench.figures.begin("push");
            embedded::push(bench, world).await
        }
        Name::Restart => {
            bench.figures.begin("restart");
            embedded::restart(bench, world).await
        }
        Name::Memory => {
            bench.figures.begin("memory");
            embedded::memory(bench, world).await
        }
        Name::FromNothing
        | Name::Core
        | Name::GiteaSweep
        | Name::GiteaPush
        | Name::HookFlood
        | Name::Faults
        | Name::Soak => Ok(()),
    }
}

/// Builds what is measured as it is released, and this program likewise: the clients that it compares with, and its load,
/// must not be slower than they could be.
fn released() -> Result<()> {
    tools::kubernetes()?;
    tools::needs_git()?;
    tools::gitea()?;
    let both = ["build", "--locked", "--release", "--package", "lunchbadger", "--package", "xtask"];
    run_command(&mut cargo(&both))?;
    let mut measuring = Command::new(target_directory()?.join("release/xtask"));
    measuring.args(std::env::args_os().skip(1)).arg("--built");
    let status = measuring.status().context("start the released xtask")?;
    if status.success() { Ok(()) } else { bail!("the bench failed ({status})") }
}

fn report(bench: &Bench, file: Option<&Path>, load: &str) -> Result<()> {
    let after = measure::load();
    println!(
        "\n{} cores; load {load} before, {after} after; {} producers\n",
        measure::cores(),
        bench.producers
    );
    print!("{}", bench.figures.table());
    if let Some(file) = file {
        let all = json!({
            "cores": measure::cores(), "loadBefore": load, "loadAfter": after, "quick": bench.quick,
            "producers": bench.producers, "figures": bench.figures.json(),
        });
        fs::write(file, format!("{all:#}\n")).with_context(|| format!("write {}", file.display()))?;
    }
    match bench.figures.missed() {
        0 => Ok(()),
        missed => bail!("{missed} figures missed their limits"),
    }
}
