//! The workspace's API container against a real git-api and configstore, by real requests and the real `git` client.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test reports by failing")]

mod docs;
mod files;
mod forecasts;
mod gitea;
mod host;
mod projects;
mod roles;
mod settings;
mod sls;
mod speed;
mod status;
mod supervisor;
mod workspace;
mod world;
