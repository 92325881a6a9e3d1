//! What a producer keeps in git, read tolerantly and totally: `(T, Vec<Finding>)`, never a panic, never an early
//! end because of one broken entity.
//!
//! | module | reads |
//! |---|---|
//! | `project` | `lunchbadger.json` of the `dev` repository, and edits it losslessly |
//! | `loopback` | models and data sources of the LoopBack project in the `dev` repository |
//! | `functions` | `serverless.yml` of every directory of the `functions` repository |
//! | `serverless` | one `serverless.yml` as JSON, and writes it with what is as it was untouched |
//! | `openapi` | the workspace's OpenAPI document, from `refs/lunchbadger/openapi/<env>` |
//!
//! [`decode()`] reads all of them; [`ProjectFile`] edits the project as text; [`entity_value`] says what one entity is,
//! so that the commit is found in which it last changed. What one entity may look like is in `project-file.md`,
//! `http-apis.md` and `functions.md` of the contract.

mod cursor;
mod decode;
mod entities;
mod functions;
mod history;
mod json;
mod loopback;
mod node;
mod openapi;
pub mod project;
mod serverless;
mod source;
mod text;
mod workspace;
mod yaml;

pub use decode::decode;
pub use entities::{
    ApiEndpoint, Broken, Connection, DataSource, Entity, Function, Gateway, Model, OpenApi, OpenApiPath,
    Pair, Pipeline, Policy, Project, ServiceEndpoint, Trigger,
};
pub use functions::check_functions;
pub use history::entity_value;
pub use openapi::check_openapi;
pub use project::{EditError, Invalid, ProjectFile};
pub use serverless::{YamlError, read_yaml, write_yaml};
pub use workspace::{Answer, ConnectorPackage, Method, PackageChange, Request, UnknownMethod, Workspace};

use std::collections::BTreeSet;

use lb_vocab::{Environment, Finding, Source, Tree};

/// What was observed of one producer's environment: each source on its own.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Files of `dev` that match [`DEV_GLOBS`].
    pub dev: Source<Tree>,
    /// Files of `functions` that match [`FUNCTIONS_GLOBS`].
    pub functions: Source<Tree>,
    /// `openapi.json` of [`openapi_ref`].
    pub openapi: Source<Tree>,
}

/// Everything that is known of one producer's environment.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The project. `Absent`: no file, or no project in it; there are no gateways then.
    pub project: Source<Project>,
    /// Models and data sources. `Absent`: the repository is unborn.
    pub models: Source<Vec<Entity<Model>>>,
    /// Names of models that `model-config.json` has and `models` has not: beyond the limit, or without a definition.
    pub models_left_out: BTreeSet<String>,
    /// Data sources of the LoopBack project.
    pub data_sources: Source<Vec<Entity<DataSource>>>,
    /// Functions, one per directory. `Absent`: the repository is unborn.
    pub functions: Source<Vec<Entity<Function>>>,
    /// The OpenAPI document, checked. `Absent`: the workspace has not published one.
    pub openapi: Source<OpenApi>,
    /// What is wrong, sorted by place.
    pub findings: Vec<Finding>,
}

/// What is read of the `dev` repository.
pub const DEV_GLOBS: &[&str] = &[
    "lunchbadger.json",
    "server/model-config.json",
    "server/datasources.json",
    "server/models/*.json",
    "common/models/*.json",
];

/// What is read of the `functions` repository.
pub const FUNCTIONS_GLOBS: &[&str] = &["*/**"];

/// A file of the `functions` repository is read up to here, bytes: a function's source is text.
pub const FUNCTION_FILE_BYTES: u64 = 1 << 20;

/// The OpenAPI document is read up to here, bytes.
pub const OPENAPI_BYTES: u64 = 1 << 20;

/// The file of the OpenAPI document, under its reference.
pub const OPENAPI_FILE: &str = "openapi.json";

/// The reference in `dev` that holds the workspace's OpenAPI document, as [`OPENAPI_FILE`].
#[must_use]
pub fn openapi_ref(environment: &Environment) -> String {
    format!("refs/lunchbadger/openapi/{environment}")
}
