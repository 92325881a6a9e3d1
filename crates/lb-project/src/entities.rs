//! The entities of a project, as the rest of the system sees them.
//!
//! These are views: the file is edited losslessly as text, never written from here.

use indexmap::IndexMap;
use lb_vocab::{Digest, Place};
use serde_json::{Map, Value};

/// One entity of a list: read, or broken on its own.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity<T> {
    /// It was read; what was wrong with it in detail is in the findings.
    Read(T),
    /// It cannot be decoded; there is an error finding. Components that need it are held.
    Broken(Broken),
}

impl<T> Entity<T> {
    /// The entity, where it was read.
    pub fn read(&self) -> Option<&T> {
        match self {
            Self::Read(entity) => Some(entity),
            Self::Broken(_) => None,
        }
    }
}

/// What could still be said about an entity that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its id, where that much was readable.
    pub id: Option<String>,
    /// Its name, where that much was readable.
    pub name: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// The project object of `lunchbadger.json`. Lists are in file order; entities nested in apis and portals stand
/// behind those of the top level, as `desired-state.md` orders them.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// `<producer>-<env>`.
    pub id: String,
    /// Usually `main`.
    pub name: Option<String>,
    /// `disabled: true` switches the producer off.
    pub disabled: bool,
    /// Where `disabled` stands (the project object where it is not given).
    pub place: Place,
    /// Gateways.
    pub gateways: Vec<Entity<Gateway>>,
    /// Service endpoints.
    pub service_endpoints: Vec<Entity<ServiceEndpoint>>,
    /// API endpoints: top level, then those of apis, then of portals.
    pub api_endpoints: Vec<Entity<ApiEndpoint>>,
    /// Connections.
    pub connections: Vec<Connection>,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// Its id; empty where it has none.
    pub id: String,
    /// Its name; empty where it has none (a finding).
    pub name: String,
    /// Pipelines in file order, from the array, the object keyed by id, or `pipelinesLunchbadger`.
    pub pipelines: Vec<Pipeline>,
    /// Names of policies, as written.
    pub policies: Vec<String>,
    /// Keys that replace those of `system.config.yml`.
    pub system: Map<String, Value>,
    /// `https`, where given: its certificate files may not exist.
    pub https: Option<Value>,
    /// Where it stands.
    pub place: Place,
}

/// A pipeline of a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its id.
    pub id: String,
    /// Its name; the id where it has none.
    pub name: String,
    /// Policies in order.
    pub policies: Vec<Policy>,
    /// Where it stands.
    pub place: Place,
}

/// A policy of a pipeline, under its name as written (`rate-limiter` is not yet `rate-limit`).
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The policy's name.
    pub name: String,
    /// Condition and action pairs in order.
    pub pairs: Vec<Pair>,
    /// Where it stands.
    pub place: Place,
}

/// A condition and action pair of a policy, without its `id`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair {
    /// The condition, `None` where it is missing or empty.
    pub condition: Option<Map<String, Value>>,
    /// The action, `None` where it is missing.
    pub action: Option<Map<String, Value>>,
}

/// A service endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEndpoint {
    /// Its id.
    pub id: String,
    /// Its name; the id where it has none.
    pub name: String,
    /// URLs in order; never empty.
    pub urls: Vec<String>,
    /// Where it stands.
    pub place: Place,
}

/// An API endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiEndpoint {
    /// Its id.
    pub id: String,
    /// Its name; the id where it has none.
    pub name: String,
    /// Its host; `*` means the gateway's own.
    pub host: String,
    /// Paths; `None` where not given.
    pub paths: Option<Vec<String>>,
    /// Methods; `None` where not given.
    pub methods: Option<Vec<String>>,
    /// Scopes; `None` where not given.
    pub scopes: Option<Vec<String>>,
    /// Where it stands.
    pub place: Place,
}

/// A connection. From a pipeline to an API endpoint it publishes; other pairs are ignored by the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Id of the entity it starts at; `None` where it cannot be read. What it ends at is still known to have it.
    pub from_id: Option<String>,
    /// Id of the entity it ends at.
    pub to_id: String,
    /// Where it stands.
    pub place: Place,
}

/// A model of the LoopBack project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name, the key of `model-config.json`.
    pub name: String,
    /// `plural`, where given.
    pub plural: Option<String>,
    /// `http.path`, where given.
    pub http_path: Option<String>,
    /// `lunchbadgerId`, where given.
    pub lunchbadger_id: Option<String>,
    /// `public` of `model-config.json`, true where it is not given.
    pub public: bool,
    /// Where its definition stands.
    pub place: Place,
}

impl Model {
    /// The path below `/api` at which LoopBack serves it: `http.path`, else `plural`, else `name`.
    #[must_use]
    pub fn api_path(&self) -> &str {
        self.http_path.as_deref().or(self.plural.as_deref()).unwrap_or(&self.name).trim_matches('/')
    }
}

/// A data source of the LoopBack project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSource {
    /// Its name, the key of `datasources.json`.
    pub name: String,
    /// Its connector.
    pub connector: String,
    /// Where it stands.
    pub place: Place,
}

/// A service of the `functions` repository: one directory with a `serverless.yml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The directory.
    pub directory: String,
    /// `service`. Of several functions of one file, only one has it; the others have their keys without prefix.
    pub service: String,
    /// Key of the function as written; `fn-<producer>-<env>-<service>` is the rule, and what it is deployed as.
    pub name: String,
    /// `lunchbadger.id`, where given: of several functions of one file, only one has it.
    pub lunchbadger_id: Option<String>,
    /// `provider.namespace` as written, empty where it is no text, and where it stands. It has no effect.
    pub namespace: Option<(String, Place)>,
    /// Runtime as `(environment, version)`: `("nodejs", "8")`, from `nodejs:8` or `nodejs8`; from the extension of the
    /// handler where none is written. Neither part is empty.
    pub runtime: (String, String),
    /// `handler`.
    pub handler: String,
    /// Events, as triggers.
    pub triggers: Vec<Trigger>,
    /// Digest of every file of the directory with its path.
    pub digest: Digest,
    /// Where `serverless.yml` stands.
    pub place: Place,
}

/// What calls a function, beside its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An HTTP route.
    Http {
        /// The path.
        path: String,
    },
    /// A schedule in cron's five fields.
    Schedule {
        /// The schedule.
        cron: String,
    },
    /// Messages of a topic.
    Topic {
        /// The topic.
        name: String,
    },
}

/// The workspace's OpenAPI (Swagger 2.0) document, as far as the auto gateway needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenApi {
    /// Paths in document order.
    pub paths: IndexMap<String, OpenApiPath>,
    /// A definition has a property of format or type `byte` or `binary`.
    pub has_binary_property: bool,
}

/// One path of an OpenAPI document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenApiPath {
    /// Tags of all its operations: names of models.
    pub tags: Vec<String>,
}
