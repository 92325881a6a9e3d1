//! The supervisor in the app's own container: it writes the project's files there, installs its dependencies, runs it, and
//! says how it fares.
//!
//! `link` (the channel to the API container) → `files` (the tree of a commit, under the container's own user) →
//! `dependencies` (npm) → `runner` (`node .`, its own process group, ended with everything that it started) → `link`.
//!
//! It shares container and user with the producer's code, and so holds nothing that this code may not have: no token, no
//! volume of the API container's. Whatever the app does to it, it does to itself.

mod dependencies;
mod files;
mod link;
mod openapi;
mod output;
mod processes;
mod runner;
mod settings;

use lb_http::contract::supervisor::Channel;
use tokio_util::sync::CancellationToken;

pub use settings::{Settings, VARIABLES};

use crate::PodError;
use files::Files;
use processes::Processes;
use runner::Runner;

/// Takes from this thread, and from everything that it starts, the way to more rights than it has.
///
/// # Errors
/// Where the system does not do that.
pub fn confine() -> Result<(), PodError> {
    let failed = |what| move |error: rustix::io::Errno| PodError::Process { what, source: error.into() };
    rustix::thread::set_no_new_privs(true).map_err(failed("give up new privileges"))?;
    // The app has our user: it may end us, and need not look into us.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(failed("keep our memory to ourselves"))
}

/// Supervises the app until `shutdown`; then everything that it started is ended.
///
/// # Errors
/// Where the app's directory cannot be used, or the channel not be set up.
pub async fn run(settings: &Settings, shutdown: &CancellationToken) -> Result<(), PodError> {
    let channel = Channel::new(settings.channel.clone())
        .map_err(|source| PodError::Client { whom: "the API container", source })?;
    let files = Files::open(&settings.directory)
        .map_err(|source| PodError::Directory { path: settings.directory.clone(), source })?;
    let processes = Processes::take_charge()
        .map_err(|source| PodError::Process { what: "become the parent of what loses its own", source })?;
    let (link, desk) = link::link(channel);
    let runner = Runner::new(settings.clone(), files, processes, desk);
    tokio::select! {
        ended = runner.run(shutdown) => ended,
        () = link.run() => Err(PodError::Defect { part: "the channel to the API container" }),
    }
}
