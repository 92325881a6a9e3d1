//! What runs in a producer's pods, beside the producer's own code and apart from it: nothing of the control plane, and no
//! credentials but the pod's own tokens.
//!
//! | module | container |
//! |---|---|
//! | [`app`] | the app's container: writes the project's files, installs its dependencies, runs it |
//! | [`init`] | the init container of workspace and sls-api: makes the clone |
//! | [`sls_api`] | the sls-api's container: owns the clone of `functions`, edits it for people, saves it |
//! | [`workspace`] | the workspace's API container: owns the clone of `dev`, edits it for people, saves it |

pub mod app;
mod error;
mod identity;
pub mod init;
pub mod sls_api;
mod tree;
pub mod workspace;

pub use error::PodError;
pub use identity::{Identity, Repository};
