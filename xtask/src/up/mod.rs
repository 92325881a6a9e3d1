//! `cargo xtask up`: the whole system on this machine, with an example producer; `down` removes what a killed one left.
//!
//! Everything is in one directory (`target/up`), begins anew each time and ends with us, however we end. Nothing is
//! simulated: objects are applied to a real API server, and as root a real node runs their pods.

mod cluster;
mod example;
mod footprint;
mod git_host;
mod leftovers;
mod pods;
mod system;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use lb_testkit::images::Images;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::{cargo, run as run_command, target_directory};
use crate::images;
use crate::say::say;
use crate::{runtime, tools};
use cluster::Cluster;
use example::Example;
use git_host::GitHost;
use leftovers::Claim;
use system::{Programs, System};

/// How to run the system.
#[derive(clap::Args)]
pub(crate) struct UpArguments {
    /// End once the second push is applied, instead of staying until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Where repositories live: `embedded`, `gitea` (one of our own, built from source), or the URL of a Gitea, whose
    /// administrator's token is in GITEA_TOKEN_FILE or GITEA_TOKEN.
    #[arg(long, value_name = "HOST", default_value = "embedded")]
    git: GitHost,
    /// Start the control plane alone: objects stand, pods do not run. So it is without root, too.
    #[arg(long)]
    no_node: bool,
    #[command(flatten)]
    images: images::Given,
    #[command(flatten)]
    place: Place,
}

/// Where the system is.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Use the cluster of this kubeconfig, in namespace `lunchbadger-up`, instead of a control plane of our own.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Keep everything here [default: up in cargo's target directory]. It is emptied at the start and removed at the end.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Place {
    fn directory(&self) -> Result<PathBuf> {
        match &self.data_dir {
            Some(directory) => absolute(directory),
            None => Ok(target_directory()?.join("up")),
        }
    }

    /// The cluster that is named, if one is.
    async fn named(&self) -> Result<Option<Cluster>> {
        match &self.kubeconfig {
            Some(file) => Cluster::of(&absolute(file)?).await.map(Some),
            None => Ok(None),
        }
    }

    /// The command that removes what `up` leaves there.
    fn down(&self) -> String {
        let options = [("--kubeconfig", &self.kubeconfig), ("--data-dir", &self.data_dir)];
        let given = options.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?)));
        given.fold("cargo xtask down".to_owned(), |command, (name, path)| {
            format!("{command} {name} {}", path.display())
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("make {} absolute", path.display()))
}

/// Brings the system up.
pub(crate) fn up(arguments: &UpArguments) -> Result<()> {
    let place = &arguments.place;
    let runtime = runtime()?;
    let named = runtime.block_on(place.named())?;
    if named.is_none() {
        if lb_testkit::environment("KUBECONFIG").is_some() {
            say("KUBECONFIG is set and ignored: name the cluster with --kubeconfig to use it");
        }
        tools::kubernetes()?;
    }
    tools::needs_git()?;
    arguments.git.prepare()?;
    let kubectl = tools::kubectl()?;
    let programs = Programs { lunchbadger: build()?, kubectl };
    let images = if named.is_none() { images_for_pods(arguments)? } else { None };
    let directory = place.directory()?;
    let _claim = Claim::to(&directory)?;
    leftovers::remove(&directory)?;
    leftovers::mark(&directory)?;
    let stays = named.is_some();
    if let Err(error) = runtime.block_on(run(arguments, &directory, named, programs, images)) {
        say(&format!("logs are in {}; `{}` removes everything", directory.display(), place.down()));
        return Err(error);
    }
    leftovers::remove(&directory)?;
    if stays {
        say(&format!("what is in the cluster stays; `{}` removes it", place.down()));
    }
    Ok(())
}

/// What pods run, where they can run here.
fn images_for_pods(arguments: &UpArguments) -> Result<Option<Images>> {
    if arguments.no_node {
        return Ok(None);
    }
    if let Some(obstacle) = lb_testkit::node::machine_lacks() {
        say(&format!("{obstacle}; objects stand, pods do not run"));
        return Ok(None);
    }
    tools::node()?;
    images::of_producers(&arguments.images).map(Some)
}

/// Builds `lunchbadger` and answers where it is.
fn build() -> Result<PathBuf> {
    say("building lunchbadger");
    run_command(&mut cargo(&["build", "--locked", "--package", "lunchbadger"]))?;
    Ok(target_directory()?.join("debug/lunchbadger"))
}

/// Starts everything, shows the example, stays. Ctrl-C ends it at any point.
async fn run(
    arguments: &UpArguments,
    directory: &Path,
    named: Option<Cluster>,
    programs: Programs,
    images: Option<Images>,
) -> Result<()> {
    let mut interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminations = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let interrupted = async {
        tokio::select! { _ = interrupts.recv() => {}, _ = terminations.recv() => {} }
        say("ending");
    };
    tokio::pin!(interrupted);
    let mut system = tokio::select! {
        biased;
        () = &mut interrupted => return Ok(()),
        started = System::start(directory, &arguments.git, named, programs, images) => started?,
    };
    let done = tokio::select! {
        biased;
        () = &mut interrupted => Ok(()),
        done = show(&mut system, arguments.once) => done,
    };
    // The roles say goodbye (leases, open pushes) before the control plane under them goes.
    system.stop().await;
    done
}

async fn show(system: &mut System, once: bool) -> Result<()> {
    Example::show(system).await?;
    if system.has_node() {
        pods::until_ready(system).await?;
    }
    println!("\nready");
    if once {
        return Ok(());
    }
    println!("\n{}", system.what_to_try());
    system.until_it_ends().await
}

/// Removes what a killed `up` left: processes, files, and in a named cluster what any `up` made.
pub(crate) fn down(place: &Place) -> Result<()> {
    let directory = place.directory()?;
    let _claim = Claim::to(&directory)?;
    runtime()?.block_on(async {
        match place.named().await? {
            Some(cluster) => footprint::remove(&cluster).await,
            None => Ok(()),
        }
    })?;
    leftovers::remove(&directory)?;
    say(match place.kubeconfig {
        Some(_) => "nothing is left, neither on this machine nor in the cluster",
        None => "nothing is left on this machine",
    });
    Ok(())
}
