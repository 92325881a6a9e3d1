//! `completion`: the completion script of a shell.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::screen::Screen;

/// Prints the script.
pub(crate) fn run(shell: Shell, screen: &mut Screen) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lunchbadger", &mut script);
    screen.text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Clean)
}
