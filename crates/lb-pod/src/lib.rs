//! What runs in a producer's pods, beside the producer's own code and apart from it: nothing of the control plane, and no
//! credentials but the pod's own tokens.
//!
//! | module | container |
//! |---|---|
//! | [`workspace`] | the workspace's API container: owns the clone of `dev`, edits it for people, saves it |

mod error;
pub mod workspace;

pub use error::PodError;
