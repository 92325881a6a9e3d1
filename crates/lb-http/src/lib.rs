//! Serving and calling HTTP: what every role shares, and the contract between the roles.
//!
//! | module | what |
//! |---|---|
//! | [`contract`] | wire types and typed clients: the only way in which roles know each other |
//! | [`auth`] | who calls, and what that allows |
//! | [`route`] | routes with their rules, in one table per role |
//! | [`serve`] | listening, limits, CORS, graceful shutdown, `/ping`, `/live`, `/ready`, `/metrics` |
//! | [`error`] | the error envelope, on both sides |
//! | [`extract`] | reading requests |
//! | [`sse`] | serving event streams |
//! | [`metrics`] | metrics of a process |

pub mod auth;
pub mod contract;
pub mod error;
pub mod extract;
pub mod metrics;
pub mod route;
pub mod serve;
pub mod sse;
