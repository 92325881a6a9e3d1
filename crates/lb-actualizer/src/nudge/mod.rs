//! Where nudges come from. They carry names and no data; one that is lost is caught by the next sweep.
//!
//! * [`changes`]: pushes, from git-api's change stream and the sweep.
//! * `stores.rs` and `judge.rs`: changes of our own resources and objects.
//! * `roster.rs`: the full list of producers.

pub(crate) mod changes;
