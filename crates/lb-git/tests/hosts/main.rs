//! Hosts with the real git client over real HTTP: what they do alike, and what the embedded one does alone.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test reports by failing")]

mod changes;
mod contract;
mod crash;
mod gitea;
mod people;
mod pushes;
mod server;
mod working;
