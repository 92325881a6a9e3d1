//! Settings of the sls-api's container.

use std::net::SocketAddr;
use std::time::Duration;

use lb_http::auth::{self, AuthSettings};
use lb_http::serve::Origins;
use lb_vocab::Producer;
use lb_vocab::settings::{Reader, Variable};
use url::Url;

use crate::identity::{self, Identity, Repository};
use crate::workspace::settings::{
    CORS_ORIGINS, LB_ENV, LB_PRODUCER, LB_PUSH_INTERVAL, WATCH_URL, configstore, origins, producer,
};

const SLS_API_LISTEN: Variable = Variable {
    name: "SLS_API_LISTEN",
    default: Some("0.0.0.0:4444"),
    meaning: "address and port on which the sls-api listens",
};
const LB_TARGET_NAMESPACE: Variable = Variable {
    name: "LB_TARGET_NAMESPACE",
    default: Some("customer"),
    meaning: "the Kubernetes namespace of the producer's objects, which new services name",
};

/// Every variable that the sls-api's container reads.
pub const VARIABLES: &[Variable] = &[
    identity::VARIABLES[0],
    LB_PRODUCER,
    LB_ENV,
    LB_TARGET_NAMESPACE,
    WATCH_URL,
    LB_PUSH_INTERVAL,
    identity::VARIABLES[1],
    identity::VARIABLES[2],
    SLS_API_LISTEN,
    CORS_ORIGINS,
    auth::VARIABLES[0],
    auth::VARIABLES[1],
    auth::VARIABLES[4],
];

/// Settings of the sls-api's container.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The repository at git-api.
    pub repository: Repository,
    /// Whose functions.
    pub producer: Producer,
    /// The namespace of the producer's objects.
    pub namespace: String,
    /// The configstore whose stream is followed.
    pub configstore: Option<Url>,
    /// From one push to the next.
    pub push_interval: Duration,
    /// Where clone and tokens are.
    pub identity: Identity,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may call from a browser.
    pub origins: Origins,
    /// How callers are identified.
    pub auth: AuthSettings,
}

impl Settings {
    /// Reads the settings. What cannot be had is `None`, and noted as an error.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let producer = producer(reader);
        let repository = Repository::read(reader, producer.as_ref().map(Producer::name));
        let namespace = reader.required(&LB_TARGET_NAMESPACE);
        let configstore = configstore(reader);
        let push_interval = reader.milliseconds(&LB_PUSH_INTERVAL);
        let listen = reader.parsed(&SLS_API_LISTEN);
        let origins = origins(reader);
        let auth = AuthSettings::read(reader);
        let identity = Identity::read(reader, auth.mode);
        Some(Self {
            repository: repository?,
            producer: producer?,
            namespace,
            configstore,
            push_interval,
            identity,
            listen,
            origins,
            auth,
        })
    }
}
