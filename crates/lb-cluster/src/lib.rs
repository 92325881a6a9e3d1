//! Talking to the Kubernetes API. What to deploy is decided elsewhere; here is how it gets there, how it is known to
//! stand, and how little is said about it.
//!
//! ```text
//! connect   Target -> Cluster            the cluster that somebody named; every request counted and withheld
//!                                        from whoever does not lead
//! setup     CRDs, namespaces
//! records   watch -> Judge -> Record     what we own, 100 bytes each; changes are told, our own writes enter at once
//! apply     Leaf -> Applied              server-side apply, only what differs; dry_run: what it would do
//! prune     owner -> Pruned              by controller owner, one by one
//! custom    watch -> Store<K>            producers and children, held whole
//! groups    watch -> Groups<T>           objects of a kind, reduced as somebody asks for, by group
//! child     Intent -> Applied            children, at the version that the store holds; pruned with plan's Complete;
//!                                        dry_run_child: what it would do
//! producer  roster, operators, purge
//! status    at most one write, at the version that was looked at
//! event     Kubernetes Events, in the background
//! secret    credentials: made once, never overwritten
//! config    our own state in ConfigMaps
//! lease     one leader
//! token     whose token it is
//! ```
//!
//! # What holds everywhere
//! * Nothing changed means nothing sent: `apply`, `apply_child` and `write_status` compare with what the watches
//!   told, not with a read.
//! * Nothing is retried here. An error says [when to try again](Retry), and the caller's queue does.
//! * Nothing is adopted, and nothing is deleted that is not exactly what was looked at (uid and version).
//! * Nothing of an answer gets into an error or a log: it may be a secret. (kube's client logs answers at level
//!   `trace`, and one that is not of the type that was asked for at `warn`; we ask for plain JSON.)
//!
//! Needs Kubernetes 1.35: streaming lists, and versions of objects that can be compared.

mod apply;
mod cache;
mod child;
mod collection;
mod config;
mod connect;
mod custom;
mod error;
mod event;
mod groups;
mod identity;
mod lease;
mod producer;
mod prune;
mod records;
mod requests;
mod secret;
mod setup;
mod status;
mod token;
mod watch;

pub use apply::{Applied, ApplyError, DryRun};
pub use child::Intent;
pub use collection::Scope;
pub use config::Config;
pub use connect::{Cluster, ConnectError, Options, Target};
pub use custom::{Child, Custom, Store, StoreChange};
pub use error::{ApiError, Retry};
pub use event::{Events, Tone};
pub use groups::{Grouped, Groups, Reduce, Selection};
pub use identity::{Owner, Uid, Version};
pub use lease::{Election, Leadership, LeaseSettings};
pub use producer::{CONFIRM_DELETE, OPERATOR};
pub use prune::Pruned;
pub use records::{Change, Entry, Judge, Labels, Live, Record, Records, Rollout, SELECTOR, State, Verdict};
pub use requests::{Requests, Verb};
pub use secret::{SecretData, secret_data};
pub use token::ServiceAccount;
