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
mod watcher_clients;
mod workspace_api;

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lb_testkit::process::Cleaner;
use serde_json::json;

use crate::command::{cargo, run as run_command, target_directory};
use crate::{runtime, tools};
use embedded::World;
use figure::Figures;
pub(crate) use gitea::{Load, load};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// These benches alone [default: all but `scale`, `faults` and `soak`].
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
    /// Runs of `from-nothing`, in turn with the minimal client's; the median counts [default: 5, with --quick 1].
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
}

/// A bench, in the order in which they run.
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
    /// Many pushes to one producer.
    Burst,
    /// Push to applied where others push what costs more than it should.
    Bulkhead,
    /// An Actualizer that comes back.
    Restart,
    /// Push to applied while others start from nothing.
    Starting,
    /// Memory of the Actualizer, up to five times as many producers.
    Memory,
    /// Ten times as many producers from nothing; by its name alone.
    Scale,
    /// Requests to Gitea per sweep when nothing changed.
    GiteaSweep,
    /// Push to applied, beyond Gitea's own delivery of a webhook.
    GiteaPush,
    /// Forged and oversized webhooks.
    HookFlood,
    /// Clients of the watcher.
    WatcherClients,
    /// The Workspace API beside the npm package whose API it is.
    WorkspaceApi,
    /// Every fault at every call of a producer's life: an hour.
    Faults,
    /// Random pushes, faults and restarts: half an hour.
    Soak,
}

impl Name {
    /// As figures call it.
    fn text(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::FromNothing => "from-nothing",
            Self::Idle => "idle",
            Self::Push => "push",
            Self::Burst => "burst",
            Self::Bulkhead => "bulkhead",
            Self::Restart => "restart",
            Self::Starting => "starting",
            Self::Memory => "memory",
            Self::Scale => "scale",
            Self::GiteaSweep => "gitea-sweep",
            Self::GiteaPush => "gitea-push",
            Self::HookFlood => "hook-flood",
            Self::WatcherClients => "watcher-clients",
            Self::WorkspaceApi => "workspace-api",
            Self::Faults => "faults",
            Self::Soak => "soak",
        }
    }

    /// Whether it runs where none is named.
    fn is_usual(self) -> bool {
        self != Self::Scale && !self.is_test()
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
    /// Of `from-nothing`.
    runs: usize,
    program: PathBuf,
    /// What runs in producers' pods.
    pod_program: PathBuf,
    /// Where everything is kept that goes at the end.
    directory: PathBuf,
    /// How many directories were asked for.
    places: Cell<usize>,
    figures: Figures,
}

impl Bench {
    /// A directory for one cluster or world that nobody had yet.
    fn place(&self, what: &str) -> PathBuf {
        let number = self.places.get();
        self.places.set(number + 1);
        self.directory.join(format!("{what}-{number}"))
    }
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut names = arguments.names.clone();
    if names.is_empty() {
        names = Name::value_variants().iter().copied().filter(|name| name.is_usual()).collect();
    }
    if !arguments.built && !names.iter().all(|name| name.is_test()) {
        return released(&names);
    }
    let release = target_directory()?.join("release");
    let (program, pod_program) = (release.join("lunchbadger"), release.join("lunchbadger-pod"));
    let target = target_directory()?.join("bench");
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    let directory = tempfile::Builder::new().prefix("run-").tempdir_in(&target);
    let directory = directory.context("make a directory for what is measured")?.keep();
    let _cleaner = Cleaner::of(&directory)?;
    let producers = arguments.producers.unwrap_or(if arguments.quick { 100 } else { 1000 });
    let runs = arguments.runs.unwrap_or(if arguments.quick { 1 } else { 5 }).max(1);
    let (quick, figures) = (arguments.quick, Figures::default());
    let places = Cell::new(0);
    let mut bench = Bench { quick, producers, runs, program, pod_program, directory, places, figures };
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
        bench.figures.begin(name.text());
        one(bench, name, &mut world).await.with_context(|| format!("bench {}", name.text()))?;
    }
    end(&mut world).await;
    Ok(())
}

async fn one(bench: &mut Bench, name: Name, world: &mut Option<World>) -> Result<()> {
    match name {
        Name::Core => core::core(bench),
        Name::FromNothing => {
            *world = Some(embedded::from_nothing(bench).await?);
            Ok(())
        }
        Name::Idle => {
            let world = made(bench, name, world).await?;
            embedded::idle(bench, world).await
        }
        Name::Push => {
            let world = made(bench, name, world).await?;
            embedded::push(bench, world).await
        }
        Name::Burst => {
            let world = made(bench, name, world).await?;
            embedded::burst(bench, world).await
        }
        Name::Bulkhead => {
            let world = made(bench, name, world).await?;
            embedded::bulkhead(bench, world).await
        }
        Name::Restart => {
            let world = made(bench, name, world).await?;
            embedded::restart(bench, world).await
        }
        Name::Starting => {
            let world = made(bench, name, world).await?;
            embedded::starting(bench, world).await
        }
        Name::Memory => {
            let world = made(bench, name, world).await?;
            embedded::memory(bench, world).await
        }
        Name::Scale => {
            end(world).await;
            embedded::scale(bench).await
        }
        Name::GiteaSweep => {
            end(world).await;
            gitea::sweep(bench).await
        }
        Name::GiteaPush => {
            end(world).await;
            gitea::push(bench).await
        }
        Name::HookFlood => {
            end(world).await;
            gitea::flood(bench).await
        }
        Name::WatcherClients => {
            end(world).await;
            watcher_clients::watcher(bench).await
        }
        Name::WorkspaceApi => {
            end(world).await;
            workspace_api::workspace_api(bench).await
        }
        Name::Faults => {
            end(world).await;
            faults::faults(bench)
        }
        Name::Soak => {
            end(world).await;
            faults::soak(bench)
        }
    }
}

/// The world that the benches of the embedded git host share. Where `from-nothing` was not asked for it is made here, and
/// what that took is told.
async fn made<'a>(bench: &mut Bench, name: Name, world: &'a mut Option<World>) -> Result<&'a mut World> {
    match world {
        Some(world) => Ok(world),
        None => {
            bench.figures.begin(Name::FromNothing.text());
            let made = embedded::once(bench).await?;
            bench.figures.begin(name.text());
            Ok(world.insert(made))
        }
    }
}

async fn end(world: &mut Option<World>) {
    if let Some(world) = world.take() {
        world.stop().await;
    }
}

/// Builds what is measured as it is released, and this program likewise: the clients that it compares with, and its load,
/// must not be slower than they could be.
fn released(names: &[Name]) -> Result<()> {
    tools::kubernetes()?;
    tools::needs_git()?;
    tools::gitea()?;
    let mut build =
        cargo(&["build", "--locked", "--release", "--package", "lunchbadger", "--package", "xtask"]);
    if names.contains(&Name::WorkspaceApi) {
        tools::loopback_workspace()?;
        build.args(["--package", "lunchbadger-pod"]);
    }
    run_command(&mut build)?;
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
