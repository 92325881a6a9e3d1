//! Limits of one producer.

use serde::{Deserialize, Serialize};

/// How much one producer may ask for. Beyond a limit: a finding, and the first N in file order stay.
///
/// The operator may override them per producer in `LBProducer.spec.limits`, but for the sizes of a push and of a
/// repository: these are the git host's, which knows no `LBProducer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Gateways of one environment.
    pub gateways: usize,
    /// Functions of one environment.
    pub functions: usize,
    /// Service endpoints and API endpoints together, nested ones included.
    pub endpoints: usize,
    /// Models of the LoopBack project.
    pub models: usize,
    /// Size of `lunchbadger.json`, bytes.
    pub project_file_bytes: u64,
    /// Size of one push, bytes.
    pub push_bytes: u64,
    /// Size of one repository on disk, bytes.
    pub repository_bytes: u64,
}

impl Default for Limits {
    /// The defaults of invariant 5 of the design.
    fn default() -> Self {
        Self {
            gateways: 20,
            functions: 100,
            endpoints: 500,
            models: 500,
            project_file_bytes: 4 << 20,
            push_bytes: 100 << 20,
            repository_bytes: 1 << 30,
        }
    }
}
