//! `cargo xtask up`: the whole system on this machine, with an example producer; `down` removes what a killed one left.
//!
//! Everything is in one directory (`target/up`), begins anew each time and ends with us, however we end. Nothing is
//! simulated but nodes: objects are applied to a real API server, and no kubelet runs their pods.

mod example;
mod leftovers;
mod system;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::command::target_directory;
use crate::say::say;
use crate::{runtime, tools};
use example::Example;
use system::System;

/// How to run the system.
#[derive(clap::Args)]
pub(crate) struct UpArguments {
    /// End once the second push is applied, instead of staying until Ctrl-C.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    place: Place,
}

impl UpArguments {
    /// A system of our own in `directory` that ends once the second push is applied.
    pub(crate) fn once(directory: PathBuf) -> Self {
        Self { once: true, place: Place { kubeconfig: None, data_dir: Some(directory) } }
    }
}

/// Where the system is.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Use the cluster of this kubeconfig, in namespace `lunchbadger-up`, instead of a control plane of our own.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Keep everything here [default: up in cargo's target directory]. It is emptied at the start.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn directory(&self) -> Result<PathBuf> {
        let directory = match &self.data_dir {
            Some(directory) => directory.clone(),
            None => target_directory()?.join("up"),
        };
        std::path::absolute(&directory).with_context(|| format!("make {} absolute", directory.display()))
    }
}

/// Brings the system up.
pub(crate) fn up(arguments: &UpArguments) -> Result<()> {
    if arguments.place.kubeconfig.is_none() && lb_testkit::environment("KUBECONFIG").is_some() {
        say("KUBECONFIG is set and ignored: name the cluster with --kubeconfig to use it");
    }
    // With a named cluster, too: kubectl shows what stands.
    tools::kubernetes()?;
    tools::needs_git()?;
    let directory = arguments.place.directory()?;
    let _claim = leftovers::claim(&directory)?;
    let program = system::build()?;
    leftovers::remove(&directory)?;
    runtime()?.block_on(run(arguments, &directory, program))?;
    match &arguments.place.kubeconfig {
        Some(file) => {
            say(&format!(
                "its objects stay; `cargo xtask down --kubeconfig {}` removes them",
                file.display()
            ));
        }
        None => leftovers::remove(&directory)?,
    }
    Ok(())
}

/// Starts everything, shows the example, stays. Ctrl-C ends it at any point.
async fn run(arguments: &UpArguments, directory: &Path, program: PathBuf) -> Result<()> {
    let mut interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminations = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let interrupted = async {
        tokio::select! { _ = interrupts.recv() => {}, _ = terminations.recv() => {} }
        say("ending");
    };
    tokio::pin!(interrupted);
    let mut system = tokio::select! {
        started = System::start(directory, arguments.place.kubeconfig.as_deref(), program) => started?,
        () = &mut interrupted => return Ok(()),
    };
    let done = tokio::select! {
        done = show(&mut system, arguments.once) => done,
        () = &mut interrupted => Ok(()),
    };
    // The roles say goodbye (leases, open pushes) before the control plane under them goes.
    system.stop().await;
    done
}

async fn show(system: &mut System, once: bool) -> Result<()> {
    Example::show(system).await?;
    println!("\nready");
    if once {
        return Ok(());
    }
    println!("\n{}", system.what_to_try());
    system.until_it_ends().await
}

/// Removes what a killed `up` left: processes, files, and in a named cluster the objects.
pub(crate) fn down(place: &Place) -> Result<()> {
    let directory = place.directory()?;
    let _claim = leftovers::claim(&directory)?;
    if let Some(kubeconfig) = &place.kubeconfig {
        tools::kubernetes()?;
        leftovers::remove_from_cluster(kubeconfig)?;
    }
    leftovers::remove(&directory)?;
    say("nothing is left");
    Ok(())
}
