//! Build and custom resources: golden files, drift, and what a real API server says. One binary, because each takes
//! a while to link.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken case fails the test")]

mod admission;
mod api;
mod cases;
mod definitions;
mod golden;
mod live;
mod policies;
mod projection;
mod resources;
mod schema;
