//! Faults of Gitea, and what happens there without us: a real one behind a proxy that misbehaves.

mod faults;
mod keys;
mod moved;
mod observing;
mod proxy;
mod slow;
mod world;
