//! Git hosts behind one trait: where producers' repositories live.
//!
//! [`GitHost`] is shaped by what Gitea's API can do, so that both hosts can serve all of it. [`embedded`] keeps bare
//! repositories in a data directory and drives the real `git`; it is for evaluation, small installations and tests.
//!
//! [`working`] is the other side: a clone in a producer's pod, which saves commits and exchanges them with a host.

mod answer;
mod bare;
mod directory;
pub mod embedded;
mod error;
mod files;
pub mod gitea;
mod globs;
mod host;
mod journal;
mod keep;
mod keys;
mod names;
mod pkt;
pub mod process;
mod push;
mod secrets;
mod spool;
mod types;
pub mod working;

pub use error::{HostError, Kind};
pub use globs::Globs;
pub use host::{GitHost, SignIn};
pub use keep::{Kept, keep};
pub use names::{Cursor, Login, RefName};
pub use types::{
    Advertisement, At, ByteStream, Change, ChangeKind, Changes, Collaborator, CommitInfo, CommitState,
    CommitStatus, Found, Hook, HookTarget, Permission, PublicKey, ReceivedHook, RefUpdate, Repository, Rpc,
    Service, TokenInfo, TreeAnswer, User,
};
