//! Tests of what a producer keeps in git: cases as files, lossless editing, hostile input, properties.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod common;
mod edit;
mod fixtures;
mod history;
mod hostile;
mod properties;
mod upsert;
mod workspace;
