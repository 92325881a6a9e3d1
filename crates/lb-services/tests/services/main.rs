//! git-api, configstore and watcher over a real git host and a real API server, by real requests and the real `git` client.
#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test reports by failing")]

mod configstore;
mod corpus;
mod data_plane;
mod docs;
mod events;
mod facade;
mod gitea;
mod hooks;
mod http_rules;
mod large_push;
mod pods;
mod roles;
mod sign_in;
mod sign_up;
mod upstream;
mod watcher;
mod world;
