//! Serving and calling HTTP: what every role shares, and the contract between the roles.
//!
//! | module | what |
//! |---|---|
//! | [`contract`] | wire types and typed clients: the only way in which roles know each other |
//! | [`error`] | the error envelope, on both sides |

pub mod contract;
pub mod error;
