//! Settings of the app's container.

use std::path::PathBuf;

use lb_vocab::Producer;
use lb_vocab::settings::{Reader, Variable};
use url::Url;

use crate::workspace;

const LB_PRODUCER: Variable = Variable {
    name: "LB_PRODUCER",
    default: None,
    meaning: "the producer whose app this is; the app sees it, too",
};
const LB_ENV: Variable = Variable {
    name: "LB_ENV",
    default: None,
    meaning: "the environment whose app this is; the app sees it, too",
};
const PORT: Variable = Variable {
    name: "PORT",
    default: Some("3000"),
    meaning: "the port on which the app listens; the app sees it, too",
};
const SUPERVISOR_URL: Variable = Variable {
    name: "SUPERVISOR_URL",
    default: Some("http://127.0.0.1:4232"),
    meaning: "where the API container serves the supervisor",
};
const APP_DIR: Variable =
    Variable { name: "APP_DIR", default: Some("/app"), meaning: "the directory of the app's files" };
const APP_HOME: Variable = Variable {
    name: "APP_HOME",
    default: Some("/tmp"),
    meaning: "the app's home directory, where it may write as it likes",
};
const APP_DEPENDENCIES: Variable = Variable {
    name: "APP_DEPENDENCIES",
    default: Some("/opt/lunchbadger/dependencies"),
    meaning: "a directory with `package.json` and `node_modules`, from which apps get the packages that they have in common; where there is none npm installs all",
};
const APP_RESERVED_PORTS: Variable = Variable {
    name: "APP_RESERVED_PORTS",
    default: Some("4230,4231,4232"),
    meaning: "ports of the API container: an app that listens there is ended",
};
const PATH: Variable = Variable {
    name: "PATH",
    default: Some("/usr/local/bin:/usr/bin:/bin"),
    meaning: "where `node` and `npm` are; the app sees it, too",
};

/// Every variable that the app's container reads.
pub const VARIABLES: &[Variable] = &[
    LB_PRODUCER,
    LB_ENV,
    PORT,
    SUPERVISOR_URL,
    APP_DIR,
    APP_HOME,
    APP_DEPENDENCIES,
    APP_RESERVED_PORTS,
    PATH,
];

/// Settings of the app's container.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose app.
    pub producer: Producer,
    /// Where it listens.
    pub port: u16,
    /// Where the API container serves us.
    pub channel: Url,
    /// Where the app's files are.
    pub directory: PathBuf,
    /// Its home.
    pub home: PathBuf,
    /// Where packages are that many apps need.
    pub dependencies: PathBuf,
    /// Ports that are not the app's.
    pub reserved: Vec<u16>,
    /// Where programs are.
    pub path: String,
}

impl Settings {
    /// Reads the settings. What cannot be had is `None`, and noted as an error.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let producer = workspace::producer(reader);
        let port = reader.parsed(&PORT);
        let channel = reader.parsed(&SUPERVISOR_URL);
        let directory = PathBuf::from(reader.required(&APP_DIR));
        let home = PathBuf::from(reader.required(&APP_HOME));
        let dependencies = PathBuf::from(reader.required(&APP_DEPENDENCIES));
        let reserved = reader.many(&APP_RESERVED_PORTS);
        let path = reader.required(&PATH);
        let producer = producer?;
        Some(Self { producer, port, channel, directory, home, dependencies, reserved, path })
    }

    /// All that the app and npm see of the environment.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PATH", self.path.clone()),
            ("HOME", self.home.display().to_string()),
            ("LB_ENV", self.producer.environment().to_string()),
            ("LB_PRODUCER", self.producer.name().to_string()),
            ("PORT", self.port.to_string()),
        ]
    }
}
