//! git-api and configstore: the facades over the git host and over all producers; and the watcher, which tells how
//! producers' pods fare.
//!
//! Configstore and watcher know git-api only over HTTP, through `lb_http::contract`, like everybody else.

mod accounts;
mod callers;
pub mod configstore;
mod error;
pub mod git_api;
mod owner;
mod settings;
pub mod watcher;

pub use accounts::ReviewSettings;
pub use error::ServeError;
