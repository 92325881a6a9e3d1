//! Settings of the workspace's API container.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lb_http::auth::{self, AuthSettings};
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Environment, GitUser, Prefix, Producer, ProducerName, RepoName};
use url::Url;

const GIT_URL: Variable = Variable {
    name: "GIT_URL",
    default: None,
    meaning: "the producer's repository at git-api: `http://git-api.default/customer-al/dev.git`",
};
const LB_PRODUCER: Variable =
    Variable { name: "LB_PRODUCER", default: None, meaning: "the producer whose workspace this is" };
const LB_ENV: Variable = Variable { name: "LB_ENV", default: None, meaning: "the environment whose workspace this is" };
const WATCH_URL: Variable = Variable {
    name: "WATCH_URL",
    default: None,
    meaning: "the configstore's stream of the producer's pushes: `http://configstore.default/change-stream/al`; without it others' pushes are noticed at our own only",
};
const LB_PUSH_INTERVAL: Variable = Variable {
    name: "LB_PUSH_INTERVAL",
    default: Some("1000"),
    meaning: "milliseconds from one push of what was saved to the next",
};
const WORKSPACE_URL_PREFIX: Variable = Variable {
    name: "WORKSPACE_URL_PREFIX",
    default: None,
    meaning: "a path under which the APIs answer, too, beside `/project-api` and `/workspace-api`",
};
const LB_CLONE_DIR: Variable = Variable {
    name: "LB_CLONE_DIR",
    default: Some("/var/lib/lunchbadger/clone"),
    meaning: "the directory of the clone, this container's alone",
};
const LB_TOKENS_DIR: Variable = Variable {
    name: "LB_TOKENS_DIR",
    default: Some("/var/run/secrets/lunchbadger"),
    meaning: "the directory of the pod's own tokens, a file for each audience (`git-api`, `configstore`), read again for every call",
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
const CORS_ORIGINS: Variable = Variable {
    name: "CORS_ORIGINS",
    default: None,
    meaning: "comma-separated origins (https://ui.example.com) from which browsers may call with credentials; `*` is any",
};

/// Every variable that the workspace's API container reads.
pub const VARIABLES: &[Variable] = &[
    GIT_URL,
    LB_PRODUCER,
    LB_ENV,
    WATCH_URL,
    LB_PUSH_INTERVAL,
    WORKSPACE_URL_PREFIX,
    LB_CLONE_DIR,
    LB_TOKENS_DIR,
    PROJECT_API_LISTEN,
    WORKSPACE_API_LISTEN,
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
    /// Where the clone is.
    pub clone_dir: PathBuf,
    /// Where the pod's tokens are.
    pub tokens_dir: PathBuf,
    /// Where the Project API listens.
    pub project_api: SocketAddr,
    /// Where the Workspace API listens.
    pub workspace_api: SocketAddr,
    /// Who may call from a browser.
    pub origins: Origins,
    /// How callers are identified.
    pub auth: AuthSettings,
}

/// A producer's repository at git-api.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its address for git.
    pub url: Url,
    /// git-api itself.
    pub git_api: Url,
    /// Whose it is.
    pub owner: GitUser,
    /// Its name.
    pub name: RepoName,
}

impl Repository {
    /// Reads `http://git-api/customer-al/dev.git`; `None` where it is something else than a repository of this producer.
    fn parse(url: &Url, producer: &ProducerName) -> Option<Self> {
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let parts: Vec<&str> = url.path_segments().filter(|_| plain)?.collect();
        let [base @ .., login, repo] = parts.as_slice() else { return None };
        let prefix: Prefix = login.strip_suffix(producer.as_str())?.strip_suffix('-')?.parse().ok()?;
        let name = repo.strip_suffix(".git")?.parse().ok()?;
        let mut git_api = url.clone();
        git_api.set_path(&base.join("/"));
        Some(Self { url: url.clone(), git_api, owner: GitUser::of(prefix, producer), name })
    }
}

impl Settings {
    /// Reads the settings. What cannot be had is `None`, and noted as an error.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let producer = producer(reader);
        let url: Option<Url> = required(reader, &GIT_URL);
        let repository = producer.as_ref().zip(url).and_then(|(producer, url)| {
            let found = Repository::parse(&url, producer.name());
            if found.is_none() {
                let problem = format!("`{url}` is no repository of `{}`; it is {}", producer.name(), GIT_URL.meaning);
                reader.fail(&GIT_URL, problem);
            }
            found
        });
        let configstore = configstore(reader);
        let push_interval = reader.milliseconds(&LB_PUSH_INTERVAL);
        let url_prefix = url_prefix(reader);
        let clone_dir = PathBuf::from(reader.required(&LB_CLONE_DIR));
        let tokens_dir = PathBuf::from(reader.required(&LB_TOKENS_DIR));
        let project_api = reader.parsed(&PROJECT_API_LISTEN);
        let workspace_api = reader.parsed(&WORKSPACE_API_LISTEN);
        let list = reader.list(&CORS_ORIGINS);
        let origins = Origins::parse(&list).unwrap_or_else(|problem| {
            reader.fail(&CORS_ORIGINS, problem);
            Origins::Listed(Vec::new())
        });
        let auth = AuthSettings::read(reader);
        Some(Self {
            repository: repository?,
            producer: producer?,
            configstore,
            push_interval,
            url_prefix,
            clone_dir,
            tokens_dir,
            project_api,
            workspace_api,
            origins,
            auth,
        })
    }
}

fn required<T: std::str::FromStr<Err: std::fmt::Display>>(reader: &mut Reader<'_>, variable: &Variable) -> Option<T> {
    if reader.text(variable).is_none() {
        reader.required(variable);
        return None;
    }
    reader.optional(variable)
}

fn producer(reader: &mut Reader<'_>) -> Option<Producer> {
    let name: Option<ProducerName> = required(reader, &LB_PRODUCER);
    let environment: Option<Environment> = required(reader, &LB_ENV);
    Producer::new(name?, environment?).inspect_err(|error| reader.fail(&LB_PRODUCER, error.to_string())).ok()
}

/// The configstore's base URL, of the address of its stream.
fn configstore(reader: &mut Reader<'_>) -> Option<Url> {
    let url: Url = reader.optional(&WATCH_URL)?;
    let base = url.as_str().rsplit_once("/change-stream/").and_then(|(base, _)| base.parse().ok());
    if base.is_none() {
        reader.fail(&WATCH_URL, format!("`{url}` does not do; it is {}", WATCH_URL.meaning));
    }
    base
}

fn url_prefix(reader: &mut Reader<'_>) -> Option<String> {
    let text = reader.text(&WORKSPACE_URL_PREFIX)?;
    let text = format!("/{}", text.trim_matches('/'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~".contains(c);
    if text == "/" || !text.chars().all(plain) || text.split('/').skip(1).any(|part| matches!(part, "" | "." | "..")) {
        reader.fail(&WORKSPACE_URL_PREFIX, format!("`{text}` is no path; it is {}", WORKSPACE_URL_PREFIX.meaning));
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
        let variables: BTreeMap<String, String> = [&good, pairs].concat().iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
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
            ("CORS_ORIGINS", "https://ui.example.com/"),
        ] {
            let errors = read(&[(name, value)]).unwrap_err();
            assert!(errors.iter().any(|error| error.name == name), "{name}={value}: {errors:?}");
        }
    }
}
