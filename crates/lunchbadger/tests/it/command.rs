//! Running the command as a person would.

use std::process::{Command, Output};

/// The command, with nothing of our environment.
pub(crate) fn lunchbadger() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lunchbadger"));
    command.env_clear();
    command
}

/// What it wrote to standard output.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("standard output is text")
}

/// What it wrote to standard error.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("standard error is text")
}
