//! git-api and configstore over a real embedded host, by real requests and the real `git` client.

mod configstore;
mod data_plane;
mod docs;
mod events;
mod facade;
mod http_rules;
mod roles;
mod upstream;
mod world;
