//! Settings of the workspace's API container.

use std::net::SocketAddr;
use std::time::Duration;

use lb_http::auth::{self, AuthSettings};
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Environment, Producer, ProducerName};
use url::Url;

use crate::identity::{self, Identity, Repository, required};

pub(crate) const LB_PRODUCER: Variable =
    Variable { name: "LB_PRODUCER", default: None, meaning: "the producer whose pod this is" };
pub(crate) const LB_ENV: Variable =
    Variable { name: "LB_ENV", default: None, meaning: "the environment whose pod this is" };
pub(crate) const WATCH_URL: Variable = Variable {
    name: "WATCH_URL",
    default: None,
    meaning: "the configstore's stream of the producer's pushes: `http://configstore.default/change-stream/al`; without it others' pushes are noticed at our own only",
};
pub(crate) const LB_PUSH_INTERVAL: Variable = Variable {
    name: "LB_PUSH_INTERVAL",
    default: Some("1000"),
    meaning: "milliseconds from one push of what was saved to the next",
};
const WORKSPACE_URL_PREFIX: Variable = Variable {
    name: "WORKSPACE_URL_PREFIX",
    default: None,
    meaning: "a path under which the APIs answer, too, beside `/project-api` and `/workspace-api`",
};
const PROJECT_API_LISTEN: Variable = Variable {
    name: "PROJECT_API_LISTEN",
    default: Some("0.0.0.0:4230"),
    meaning: "address and port on which the Project API listens",
};
const WORKSPACE_API_LISTEN: Variable = Variable {
    name: "WORKSPACE_API_LISTEN",
    default: Some("0.0.0.0:4231"),
    meaning: "address and port on which the Workspace API listens",
};
const SUPERVISOR_LISTEN: Variable = Variable {
    name: "SUPERVISOR_LISTEN",
    default: Some("127.0.0.1:4232"),
    meaning: "address and port on which the app's supervisor is served; of the pod's loopback, because nobody is asked for a token there",
};
const APP_ADDRESS: Variable = Variable {
    name: "APP_ADDRESS",
    default: Some("127.0.0.1:3000"),
    meaning: "where the app listens, which is seen at `/explorer` of the Workspace API",
};
pub(crate) const CORS_ORIGINS: Variable = Variable {
    name: "CORS_ORIGINS",
    default: None,
    meaning: "comma-separated origins (https://ui.example.com) from which browsers may call with credentials; `*` is any",
};

/// Every variable that the workspace's API container reads.
pub const VARIABLES: &[Variable] = &[
    identity::VARIABLES[0],
    LB_PRODUCER,
    LB_ENV,
    WATCH_URL,
    LB_PUSH_INTERVAL,
    WORKSPACE_URL_PREFIX,
    identity::VARIABLES[1],
    identity::VARIABLES[2],
    PROJECT_API_LISTEN,
    WORKSPACE_API_LISTEN,
    SUPERVISOR_LISTEN,
    APP_ADDRESS,
    CORS_ORIGINS,
    auth::VARIABLES[0],
    auth::VARIABLES[1],
    auth::VARIABLES[4],
];

/// Settings of the workspace's API container.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The repository at git-api.
    pub repository: Repository,
    /// Whose workspace.
    pub producer: Producer,
    /// The configstore whose stream is followed.
    pub configstore: Option<Url>,
    /// From one push to the next.
    pub push_interval: Duration,
    /// Another path of the APIs.
    pub url_prefix: Option<String>,
    /// Where clone and tokens are.
    pub identity: Identity,
    /// Where the Project API listens.
    pub project_api: SocketAddr,
    /// Where the Workspace API listens.
    pub workspace_api: SocketAddr,
    /// Where the app's supervisor is served.
    pub supervisor: SocketAddr,
    /// Where the app listens.
    pub app: SocketAddr,
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
        let configstore = configstore(reader);
        let push_interval = reader.milliseconds(&LB_PUSH_INTERVAL);
        let url_prefix = url_prefix(reader);
        let project_api = reader.parsed(&PROJECT_API_LISTEN);
        let workspace_api = reader.parsed(&WORKSPACE_API_LISTEN);
        let supervisor: SocketAddr = reader.parsed(&SUPERVISOR_LISTEN);
        if !supervisor.ip().is_loopback() {
            let problem =
                format!("`{supervisor}` can be reached from elsewhere; it is {}", SUPERVISOR_LISTEN.meaning);
            reader.fail(&SUPERVISOR_LISTEN, problem);
        }
        let app = reader.parsed(&APP_ADDRESS);
        let origins = origins(reader);
        let auth = AuthSettings::read(reader);
        let identity = Identity::read(reader, auth.mode);
        Some(Self {
            repository: repository?,
            producer: producer?,
            configstore,
            push_interval,
            url_prefix,
            identity,
            project_api,
            workspace_api,
            supervisor,
            app,
            origins,
            auth,
        })
    }
}

pub(crate) fn producer(reader: &mut Reader<'_>) -> Option<Producer> {
    let name: Option<ProducerName> = required(reader, &LB_PRODUCER);
    let environment: Option<Environment> = required(reader, &LB_ENV);
    Producer::new(name?, environment?).inspect_err(|error| reader.fail(&LB_PRODUCER, error.to_string())).ok()
}

/// The configstore's base URL, of the address of its stream.
pub(crate) fn configstore(reader: &mut Reader<'_>) -> Option<Url> {
    let url: Url = reader.optional(&WATCH_URL)?;
    let base = url.as_str().rsplit_once("/change-stream/").and_then(|(base, _)| base.parse().ok());
    if base.is_none() {
        reader.fail(&WATCH_URL, format!("`{url}` does not do; it is {}", WATCH_URL.meaning));
    }
    base
}

pub(crate) fn origins(reader: &mut Reader<'_>) -> Origins {
    let list = reader.list(&CORS_ORIGINS);
    Origins::parse(&list).unwrap_or_else(|problem| {
        reader.fail(&CORS_ORIGINS, problem);
        Origins::Listed(Vec::new())
    })
}

fn url_prefix(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(&WORKSPACE_URL_PREFIX)?;
    let text = format!("/{}", text.trim_matches('/'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    if text == "/"
        || !text.chars().all(plain)
        || text.split('/').skip(1).any(|part| matches!(part, "" | "." | ".."))
    {
        reader.fail(
            &WORKSPACE_URL_PREFIX,
            format!("`{text}` is no path; it is {}", WORKSPACE_URL_PREFIX.meaning),
        );
        return None;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lb_vocab::settings::SettingError;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<SettingError>> {
        let good = [
            ("GIT_URL", "http://git-api.default/customer-big-corp/dev.git"),
            ("LB_PRODUCER", "big-corp"),
            ("LB_ENV", "dev"),
            ("WATCH_URL", "http://configstore.default/change-stream/big-corp"),
        ];
        let variables: BTreeMap<String, String> =
            [&good, pairs].concat().iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        let mut reader = Reader::new(&variables);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map(|(settings, _)| settings.unwrap())
    }

    #[test]
    fn what_a_pod_gets_is_enough() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.repository.owner.to_string(), "customer-big-corp");
        assert_eq!(settings.repository.git_api.as_str(), "http://git-api.default/");
        assert_eq!(settings.configstore.unwrap().as_str(), "http://configstore.default/");
        assert_eq!((settings.project_api.port(), settings.workspace_api.port()), (4230, 4231));
    }

    #[test]
    fn every_wrong_value_is_named() {
        for (name, value) in [
            ("GIT_URL", ""),
            ("GIT_URL", "http://git-api.default/customer-al/dev.git"),
            ("GIT_URL", "http://x:y@git-api.default/customer-big-corp/dev.git"),
            ("GIT_URL", "git@host:customer-big-corp/dev.git"),
            ("LB_PRODUCER", "Al"),
            ("LB_ENV", "d-v"),
            ("WATCH_URL", "http://configstore.default/"),
            ("LB_PUSH_INTERVAL", "soon"),
            ("WORKSPACE_URL_PREFIX", "../x"),
            ("PROJECT_API_LISTEN", "4230"),
            ("SUPERVISOR_LISTEN", "0.0.0.0:4232"),
            ("CORS_ORIGINS", "https://ui.example.com/"),
        ] {
            let errors = read(&[(name, value)]).unwrap_err();
            assert!(errors.iter().any(|error| error.name == name), "{name}={value}: {errors:?}");
        }
    }
}
