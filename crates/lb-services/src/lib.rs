//! git-api and configstore: the facades over the git host and over all producers.
//!
//! The configstore knows git-api only over HTTP, through `lb_http::contract`, like everybody else.

pub mod configstore;
mod error;
pub mod git_api;
mod settings;

pub use error::ServeError;
