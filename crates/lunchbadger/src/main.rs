//! `lunchbadger`: the control plane and its command line.
//!
//! Here arguments are parsed, roles wired and signals heard; what is done is in the crates of the roles.

mod cli;
mod commands;
mod connect;
mod exit;
mod logging;
mod logins;
mod objects;
mod private;
mod screen;
mod yaml;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use lb_process::environment::{self, Variables};
use lb_vocab::with_causes;

use crate::cli::{Cli, Command};
use crate::connect::Connect;
use crate::exit::{Exit, NOT_DONE};
use crate::screen::Screen;

// Every stage makes many small values for a moment, on several threads; the C library's allocator is most of their cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let variables = environment::copy();
    logging::start(cli.global.log_format, &variables, default_filter(&cli.command));
    let mut screen = Screen::new(cli.global.output);
    let done = run(&cli, &variables, &mut screen).and_then(|exit| screen.flush().map(|()| exit));
    match done {
        Ok(exit) => exit.into(),
        Err(error) if screen::nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is gone, too, the exit status has to do.
            let _ = screen.note(format!("error: {}", with_causes(error.as_ref())));
            ExitCode::from(NOT_DONE)
        }
    }
}

/// What is logged where nobody says: roles tell what they do, commands what went wrong. A failed request is told by the
/// command that needed it; kube's own line about it would be a second one.
fn default_filter(command: &Command) -> &'static str {
    match command {
        Command::Up(_) | Command::Actualizer | Command::Configstore | Command::GitApi | Command::Watcher => {
            "info"
        }
        Command::Plan(_)
        | Command::Login(_)
        | Command::Logout
        | Command::Whoami
        | Command::Producers(_)
        | Command::Status(_)
        | Command::Reconcile(_)
        | Command::Diff(_)
        | Command::Why(_)
        | Command::Brake(_)
        | Command::Crds(_)
        | Command::Rights
        | Command::Completion { .. } => "warn,kube_client=off",
    }
}

fn run(cli: &Cli, variables: &Variables, screen: &mut Screen) -> Result<Exit> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let connect = Connect::new(&cli.global, variables);
    let done = runtime.block_on(dispatch(&cli.command, &connect, variables, screen));
    // A task that hangs does not keep the process.
    runtime.shutdown_background();
    done
}

async fn dispatch(
    command: &Command,
    connect: &Connect<'_>,
    variables: &Variables,
    screen: &mut Screen,
) -> Result<Exit> {
    match command {
        Command::Plan(arguments) => commands::plan::run(arguments, variables, screen),
        Command::Completion { shell } => commands::completion::run(*shell, screen),
        Command::Login(arguments) => commands::login::run(arguments, connect, screen).await,
        Command::Logout => commands::login::forget(connect, screen),
        Command::Whoami => commands::whoami::run(connect, screen).await,
        Command::Crds(command) => commands::crds::run(command, connect, screen).await,
        Command::Rights => commands::rights::run(variables, screen),
        Command::Producers(command) => commands::producers::run(command, connect, screen).await,
        Command::Status(arguments) => commands::status::run(arguments, connect, screen).await,
        Command::Reconcile(arguments) => commands::reconcile::run(arguments, connect, screen).await,
        Command::Diff(arguments) => commands::diff::run(arguments, variables, connect, screen).await,
        Command::Why(arguments) => commands::why::run(arguments, connect, screen).await,
        Command::Brake(command) => commands::brake::run(command, connect, screen).await,
        Command::Up(arguments) => commands::up::run(arguments, variables, connect, screen).await,
        Command::Actualizer => commands::roles::actualizer(variables, connect).await,
        Command::Configstore => commands::roles::configstore(variables, connect).await,
        Command::GitApi => commands::roles::git_api(variables, connect).await,
        Command::Watcher => commands::roles::watcher(variables, connect).await,
    }
}
