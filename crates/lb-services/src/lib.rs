//! git-api and configstore: the facades over the git host and over all producers.
//!
//! The configstore knows git-api only over HTTP, through `lb_http::contract`, like everybody else.

mod accounts;
pub mod configstore;
mod error;
pub mod git_api;
mod owner;
mod settings;

pub use accounts::ReviewSettings;
pub use error::ServeError;
