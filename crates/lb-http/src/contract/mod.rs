//! The contract between the roles: wire types and typed clients.
//!
//! Clients answer `Result<T, ClientError>`. A body that is malformed, cut off, HTML, of the wrong shape or too large
//! is an error and never looks like an empty good answer; `None` is answered only for a 404 in our own envelope with
//! the code that belongs to the question.

pub mod apis;
mod client;
pub mod configstore;
mod error;
pub mod git_api;
pub mod hook;
mod sse;
pub mod supervisor;

pub use client::{Timeouts, TokenSource};
pub use error::ClientError;
pub use sse::{SseDecoder, SseEvent};
