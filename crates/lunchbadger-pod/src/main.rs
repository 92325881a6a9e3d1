//! `lunchbadger-pod`: what runs inside a producer's pods, one command for each container.
//!
//! Here arguments are parsed, containers wired and signals heard; what is done is in `lb-pod`.

mod logging;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use lb_pod::{app, init, sls_api, workspace};
use lb_process::environment::{self, Variables};
use lb_process::{clock, signals};
use lb_vocab::settings::Reader;
use lb_vocab::with_causes;
use tokio_util::sync::CancellationToken;

/// What runs inside a producer's pods. Settings are variables of the environment.
#[derive(Debug, Parser)]
#[command(name = "lunchbadger-pod", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Init container: clones the producer's repository, or fetches into the clone that is there
    Init,
    /// The sls-api's container: the producer's functions (4444), saving to git
    SlsApi,
    /// The workspace's API container: Project API (4230), Workspace API (4231), saving to git
    Workspace,
    /// The supervisor in the app's container: writes the project's files, installs its dependencies, runs it
    App,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let variables = environment::copy();
    logging::start(&variables);
    match run(&cli.command, &variables) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command, variables: &Variables) -> Result<()> {
    if matches!(command, Command::App) {
        // Of this thread, and so of all that it starts from here on.
        app::confine()?;
    }
    // Two threads do: a pod serves one producer, and what blocks has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    let done = runtime.block_on(dispatch(command, variables));
    // A task that hangs does not keep the process.
    runtime.shutdown_background();
    done
}

async fn dispatch(command: &Command, variables: &Variables) -> Result<()> {
    let shutdown = signals::shutdown()?;
    match command {
        Command::Init => {
            let settings = settings(variables, init::Settings::read)?;
            signals::within_deadline(async { Ok(init::run(&settings, &shutdown).await?) }, &shutdown).await
        }
        Command::SlsApi => {
            let settings = settings(variables, sls_api::Settings::read)?;
            signals::within_deadline(sls_api(&settings, shutdown.clone()), &shutdown).await
        }
        Command::Workspace => {
            let settings = settings(variables, workspace::Settings::read)?;
            signals::within_deadline(workspace(&settings, shutdown.clone()), &shutdown).await
        }
        Command::App => {
            let settings = settings(variables, app::Settings::read)?;
            signals::within_deadline(async { Ok(app::run(&settings, &shutdown).await?) }, &shutdown).await
        }
    }
}

/// Reads a container's settings.
fn settings<T>(variables: &Variables, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Result<T> {
    environment::read(variables, read)?.context("a setting is missing")
}

async fn sls_api(settings: &sls_api::Settings, shutdown: CancellationToken) -> Result<()> {
    let server = sls_api::Server::start(settings, &clock::system(), shutdown).await?;
    tracing::info!(address = %server.address().context("read the address")?, "ready");
    Ok(server.run().await?)
}

async fn workspace(settings: &workspace::Settings, shutdown: CancellationToken) -> Result<()> {
    let server = workspace::Server::start(settings, &clock::system(), shutdown).await?;
    let [project, workspace, supervisor] = server.addresses().context("read the addresses")?;
    tracing::info!(%project, %workspace, %supervisor, "ready");
    Ok(server.run().await?)
}
