//! Against a real API server. One binary, so that one cluster serves every test.
#![expect(clippy::unwrap_used, reason = "a helper of tests reports by failing the test")]

mod apply;
mod children;
mod drift;
mod lease;
mod prune;
mod records;
mod rights;
mod setup;
mod state;
mod support;
mod tokens;
