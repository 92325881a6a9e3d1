//! The Actualizer: makes Kubernetes match git.
//!
//! `git push` -> **nudge** ([`nudge`]) -> **observe** -> **decode** -> **plan** -> **mint** -> **build** -> **apply** ->
//! **prune** -> **report**. Two drivers run the stages: [`producer`] turns git into children, [`child`] turns a child
//! into its objects. The [`queue`] says who is next, [`work`] runs the drivers, [`judge`] compares what the watches
//! tell with what should be, [`roster`] knows who is a producer, and the [`brake`] stops removals that are too many to
//! be meant. [`preview()`] shows people what a reconcile would plan.

mod announce;
pub mod brake;
mod child;
mod context;
mod heads;
mod hosts;
mod jobs;
mod judge;
mod metrics;
mod namespace;
mod nudge;
mod observe;
mod pace;
mod producer;
mod queue;
pub mod removal;
mod requests;
mod roster;
pub mod settings;
mod standby;
mod start;
mod stores;
mod upstream;
mod work;

pub use producer::{Children, PURGE, Unreadable, preview};
pub use start::{RunError, run};
