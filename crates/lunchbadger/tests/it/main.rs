//! The command, run as a person would run it.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test reports by failing")]

mod cli;
mod command;
mod plan;
mod sign_in;
mod system;
