//! The embedded host with the real git client over real HTTP.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by failing")]

mod changes;
mod crash;
mod people;
mod pushes;
mod server;
mod trees;
