//! `cargo xtask bench`: figures, each with its limit, measured on real parts.

mod figure;
mod gitea;
mod measure;
mod push;
mod roles;
mod system;
mod watcher;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use lb_testkit::process::Cleaner;
use serde_json::json;

use crate::command::{cargo, run as run_command, target_directory};
use crate::say::say;
use crate::{runtime, tools};
use figure::Figures;
pub(crate) use gitea::{Load, load};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// These benches alone [default: all].
    names: Vec<Name>,
    /// With 100 producers (60 at Gitea) and for seconds instead of minutes: shows that everything runs, in three minutes.
    #[arg(long)]
    quick: bool,
    /// Write the figures here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Producers of the benches with the embedded git host [default: 1000, with --quick 100].
    #[arg(long, value_name = "N")]
    producers: Option<usize>,
}

/// A bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Name {
    /// Requests to Gitea per sweep when nothing changed.
    GiteaSweep,
    /// Push to applied, beyond Gitea's own delivery of a webhook.
    GiteaPush,
    /// Forged and oversized webhooks.
    HookFlood,
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
        names = Name::value_variants().to_vec();
    }
    tools::kubernetes()?;
    tools::needs_git()?;
    tools::gitea()?;
    let program = build()?;
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
    for name in names {
        match name {
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
        }
    }
    Ok(())
}

/// Builds what is measured, as it is released.
fn build() -> Result<PathBuf> {
    say("building lunchbadger (release)");
    run_command(&mut cargo(&["build", "--locked", "--release", "--package", "lunchbadger"]))?;
    Ok(target_directory()?.join("release/lunchbadger"))
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
