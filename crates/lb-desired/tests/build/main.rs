//! Build and custom resources: golden files, drift, and what a real API server says. One binary, because each takes
//! a while to link.
#![expect(
    clippy::needless_pass_by_value,
    clippy::wildcard_enum_match_arm,
    reason = "cases hand over what json! makes, and Value is not an enum of ours"
)]
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
