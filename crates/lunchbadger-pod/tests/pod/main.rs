//! The program as kubelet runs it: by its variables, with a signal at the end.
#![expect(clippy::unwrap_used, reason = "a test reports by failing")]

mod app;
mod pod;
mod saving;
mod world;
