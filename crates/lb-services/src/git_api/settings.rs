//! Settings of git-api.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lb_http::auth::{self, AuthSettings};
use lb_http::contract::hook::HookKey;
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Secret, TextError};
use url::Url;

use super::callbacks::Allowed;
use crate::accounts::{self, ReviewSettings};
use crate::settings::{CORS_ORIGINS, HOOK_SECRET, count, origins, url};

const GIT_API_LISTEN: Variable = Variable {
    name: "GIT_API_LISTEN",
    default: Some("0.0.0.0:8080"),
    meaning: "address and port on which git-api listens",
};
const GIT_API_USER_RATE_LIMIT: Variable = Variable {
    name: "GIT_API_USER_RATE_LIMIT",
    default: Some("5"),
    meaning: "requests about one git user at once; more wait 10 s and are answered 503; the control plane's own do not count",
};
const GIT_API_TOTAL_LIMIT: Variable = Variable {
    name: "GIT_API_TOTAL_LIMIT",
    default: Some("200"),
    meaning: "requests about git users at once, over all users; the control plane's own do not count",
};
const CONFIGSTORE_HOOK_URL: Variable = Variable {
    name: "CONFIGSTORE_HOOK_URL",
    default: Some("http://configstore.default/hook"),
    meaning: "where pushes are told to when a webhook is registered without an address",
};
const HOOK_ALLOWED_HOSTS: Variable = Variable {
    name: "HOOK_ALLOWED_HOSTS",
    default: None,
    meaning: "comma-separated hosts to which webhooks may lead beside public addresses and CONFIGSTORE_HOOK_URL: names, `*.` and the end of names, addresses, ranges like `10.0.0.0/8`",
};
const GIT_DATA_DIR: Variable = Variable {
    name: "GIT_DATA_DIR",
    default: Some("/var/lib/lunchbadger/git"),
    meaning: "directory of the embedded git host's repositories",
};
const GITEA_HOST: Variable = Variable {
    name: "GITEA_HOST",
    default: None,
    meaning: "base URL of Gitea; without it the embedded git host serves",
};
const GITEA_PUBLIC_URL: Variable = Variable {
    name: "GITEA_PUBLIC_URL",
    default: None,
    meaning: "base URL of Gitea as people reach it, which links to it begin with; by default GITEA_HOST",
};
const GITEA_TOKEN: Variable = Variable {
    name: "GITEA_TOKEN",
    default: None,
    meaning: "the token of a Gitea administrator, with all scopes; better given as GITEA_TOKEN_FILE",
};
const GITEA_TOKEN_FILE: Variable = Variable {
    name: "GITEA_TOKEN_FILE",
    default: None,
    meaning: "path of a file with that token, read again for every request",
};
const GITEA_OAUTH_CLIENT_ID: Variable = Variable {
    name: "GITEA_OAUTH_CLIENT_ID",
    default: None,
    meaning: "id of the OAuth 2 application of Gitea's with which people sign in; its redirect URI is GIT_API_PUBLIC_URL with /login/callback",
};
const GITEA_OAUTH_CLIENT_SECRET: Variable = Variable {
    name: "GITEA_OAUTH_CLIENT_SECRET",
    default: None,
    meaning: "the secret of that application; better given as GITEA_OAUTH_CLIENT_SECRET_FILE",
};
const GITEA_OAUTH_CLIENT_SECRET_FILE: Variable = Variable {
    name: "GITEA_OAUTH_CLIENT_SECRET_FILE",
    default: None,
    meaning: "path of a file with that secret, read again for every sign-in",
};
const GIT_API_PUBLIC_URL: Variable = Variable {
    name: "GIT_API_PUBLIC_URL",
    default: None,
    meaning: "base URL of git-api as browsers reach it; sign-ins in a browser need it",
};
const AUTH_SESSION_LIFETIME: Variable = Variable {
    name: "AUTH_SESSION_LIFETIME",
    default: Some("43200000"),
    meaning: "milliseconds after which whoever signed in with a browser has to do so again",
};
const GITEA_REQUESTS: Variable = Variable {
    name: "GITEA_REQUESTS",
    default: Some("16"),
    meaning: "requests to Gitea at once; more wait 20 s",
};
const GITEA_TIMEOUT: Variable = Variable {
    name: "GITEA_TIMEOUT",
    default: Some("10000"),
    meaning: "milliseconds that Gitea may take for one answer",
};
const GITEA_WALK_INTERVAL: Variable = Variable {
    name: "GITEA_WALK_INTERVAL",
    default: Some("600000"),
    meaning: "milliseconds between two readings of all users and repositories of Gitea, which notice what was deleted there",
};

/// The variables of git-api, beside those of [`lb_desired::settings`], which the preview of a push is made with.
pub const VARIABLES: &[Variable] = &[
    GIT_API_LISTEN,
    GIT_API_USER_RATE_LIMIT,
    GIT_API_TOTAL_LIMIT,
    CONFIGSTORE_HOOK_URL,
    HOOK_ALLOWED_HOSTS,
    GIT_DATA_DIR,
    GITEA_HOST,
    GITEA_PUBLIC_URL,
    GITEA_TOKEN,
    GITEA_TOKEN_FILE,
    GITEA_REQUESTS,
    GITEA_TIMEOUT,
    GITEA_WALK_INTERVAL,
    GITEA_OAUTH_CLIENT_ID,
    GITEA_OAUTH_CLIENT_SECRET,
    GITEA_OAUTH_CLIENT_SECRET_FILE,
    GIT_API_PUBLIC_URL,
    AUTH_SESSION_LIFETIME,
    HOOK_SECRET,
    CORS_ORIGINS,
    auth::VARIABLES[0],
    auth::VARIABLES[1],
    auth::VARIABLES[2],
    auth::VARIABLES[3],
    auth::VARIABLES[4],
    accounts::VARIABLES[0],
    accounts::VARIABLES[1],
    accounts::VARIABLES[2],
];
const _: () = assert!(auth::VARIABLES.len() == 5, "every variable of the seam is in the table");
const _: () = assert!(accounts::VARIABLES.len() == 3, "every variable of reviews is in the table");

/// Settings of git-api.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What plans are made with; its prefix is that of the producers' git users.
    pub platform: lb_desired::settings::Settings,
    /// Requests about one user at once.
    pub user_rate_limit: usize,
    /// Requests about all users at once.
    pub total_limit: usize,
    /// Default target of webhooks.
    pub hook_url: Url,
    /// Where else webhooks may lead.
    pub hook_allowed: Vec<Allowed>,
    /// Directory of the embedded host.
    pub data_dir: PathBuf,
    /// Gitea, instead of the embedded host.
    pub gitea: Option<Gitea>,
    /// What the secrets of webhooks are made of.
    pub hook_key: Option<HookKey>,
    /// Its own base URL, as browsers reach it.
    pub public_url: Option<Url>,
    /// How long a session holds.
    pub session_lifetime: Duration,
    /// Who may call from a browser.
    pub origins: Origins,
    /// How callers are identified.
    pub auth: AuthSettings,
    /// How tokens of service accounts are checked.
    pub review: ReviewSettings,
}

/// How Gitea is reached.
#[derive(Clone, Debug)]
pub struct Gitea {
    /// Its base URL.
    pub url: Url,
    /// As people reach it, if that is elsewhere.
    pub public_url: Option<Url>,
    /// Its administrator's token.
    pub token: Option<Secret>,
    /// File with that token.
    pub token_file: Option<PathBuf>,
    /// Requests at once.
    pub requests: usize,
    /// Time for one answer.
    pub timeout: Duration,
    /// Time between two walks over everything.
    pub walk_interval: Duration,
    /// The application with which people sign in.
    pub oauth: Option<OAuth>,
}

/// An OAuth 2 application of Gitea's.
#[derive(Clone, Debug)]
pub struct OAuth {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Option<Secret>,
    /// File with that secret.
    pub client_secret_file: Option<PathBuf>,
}

impl OAuth {
    /// `None` where `GITEA_OAUTH_CLIENT_ID` is not set.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let client_id = reader.text(&GITEA_OAUTH_CLIENT_ID);
        let client_secret = reader.secret(&GITEA_OAUTH_CLIENT_SECRET);
        let client_secret_file = reader.text(&GITEA_OAUTH_CLIENT_SECRET_FILE).map(PathBuf::from);
        let client_id = client_id?;
        if client_secret.is_none() && client_secret_file.is_none() {
            let why = "it is needed where GITEA_OAUTH_CLIENT_ID is set, or GITEA_OAUTH_CLIENT_SECRET_FILE";
            reader.fail(&GITEA_OAUTH_CLIENT_SECRET, why.to_owned());
        }
        Some(Self { client_id, client_secret, client_secret_file })
    }
}

impl Gitea {
    /// `None` where `GITEA_HOST` is not set.
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let given = reader.text(&GITEA_HOST);
        let token = reader.secret(&GITEA_TOKEN);
        let token_file = reader.text(&GITEA_TOKEN_FILE).map(PathBuf::from);
        let requests = count(reader, &GITEA_REQUESTS);
        let timeout = reader.milliseconds(&GITEA_TIMEOUT);
        let walk_interval = reader.milliseconds(&GITEA_WALK_INTERVAL);
        let oauth = OAuth::read(reader);
        let public_url = optional_url(reader, &GITEA_PUBLIC_URL);
        let text = given?;
        // The old git-api took a host's name alone.
        let text = if text.contains("://") { text } else { format!("http://{text}") };
        let url = http_url(&text);
        if url.is_none() {
            reader.fail(&GITEA_HOST, format!("`{text}` is no http or https URL"));
        }
        if token.is_none() && token_file.is_none() {
            reader.fail(&GITEA_TOKEN, "it is needed where GITEA_HOST is set, or GITEA_TOKEN_FILE".to_owned());
        }
        Some(Self { url: url?, public_url, token, token_file, requests, timeout, walk_interval, oauth })
    }
}

/// An http or https URL.
fn http_url(text: &str) -> Option<Url> {
    text.parse().ok().filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn optional_url(reader: &mut Reader<'_>, variable: &Variable) -> Option<Url> {
    let text = reader.text(variable)?;
    let url = http_url(&text);
    if url.is_none() {
        reader.fail(variable, format!("`{text}` is no http or https URL"));
    }
    url
}

impl Settings {
    /// Reads the settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let gitea = Gitea::read(reader);
        let hook_key = reader.secret(&HOOK_SECRET).map(HookKey::new);
        if gitea.is_some() && hook_key.is_none() {
            reader.fail(
                &HOOK_SECRET,
                "it is needed where GITEA_HOST is set, here and at the configstore".to_owned(),
            );
        }
        let platform = lb_desired::settings::Settings::read(reader);
        Self {
            listen: reader.parsed(&GIT_API_LISTEN),
            user_rate_limit: count(reader, &GIT_API_USER_RATE_LIMIT),
            total_limit: count(reader, &GIT_API_TOTAL_LIMIT),
            hook_url: url(reader, &CONFIGSTORE_HOOK_URL),
            hook_allowed: hook_allowed(reader),
            data_dir: PathBuf::from(reader.required(&GIT_DATA_DIR)),
            gitea,
            hook_key,
            public_url: optional_url(reader, &GIT_API_PUBLIC_URL),
            session_lifetime: reader.milliseconds(&AUTH_SESSION_LIFETIME),
            origins: origins(reader),
            auth: AuthSettings::read(reader),
            review: ReviewSettings::read(reader, platform.target_namespace.clone()),
            platform,
        }
    }
}

fn hook_allowed(reader: &mut Reader<'_>) -> Vec<Allowed> {
    let mut allowed = Vec::new();
    for text in reader.list(&HOOK_ALLOWED_HOSTS) {
        match text.parse() {
            Ok(host) => allowed.push(host),
            Err(error) => reader.fail(&HOOK_ALLOWED_HOSTS, TextError::to_string(&error)),
        }
    }
    allowed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lb_vocab::settings::SettingError;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<(Settings, Vec<String>), Vec<SettingError>> {
        let variables: BTreeMap<String, String> =
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut reader = Reader::new(&variables);
        let settings = Settings::read(&mut reader);
        reader.finish(settings)
    }

    #[test]
    fn an_empty_environment_gives_the_contracts_defaults() {
        let (settings, warnings) = read(&[]).unwrap();
        assert_eq!((settings.listen.port(), settings.user_rate_limit), (8080, 5));
        assert_eq!(settings.platform.prefix.as_str(), "customer");
        assert_eq!(settings.hook_url.as_str(), "http://configstore.default/hook");
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn every_wrong_value_is_named_and_no_secret_shown() {
        let wrong = [
            ("GIT_API_LISTEN", "8080"),
            ("GIT_API_USER_RATE_LIMIT", "0"),
            ("GIT_API_TOTAL_LIMIT", "many"),
            ("CONFIGSTORE_HOOK_URL", "file:///etc/passwd"),
            ("HOOK_ALLOWED_HOSTS", "ok.example.com,http://x"),
            ("GITEA_PUBLIC_URL", "git.example.com"),
            ("CORS_ORIGINS", "https://ui.example.com/"),
            ("AUTH_MODE", "off"),
            ("AUTH_TOKEN_REVIEW", "yes"),
            ("AUTH_TOKEN_REVIEW_RATE", "0"),
            ("AUTH_SYSTEM_ACCOUNTS", "git-api"),
        ];
        let errors = read(&wrong).unwrap_err();
        for (name, _) in wrong {
            assert!(errors.iter().any(|error| error.name == name), "{name}: {errors:?}");
        }
        let gitea = [("GITEA_HOST", "gitea"), ("GITEA_TOKEN", "hunter2"), ("HOOK_SECRET", "hunter3")];
        let (settings, _) = read(&gitea).unwrap();
        assert_eq!(settings.gitea.as_ref().unwrap().url.as_str(), "http://gitea/");
        assert!(!format!("{settings:?}").contains("hunter"));
        let missing: Vec<_> = read(&gitea[..1]).unwrap_err().iter().map(|error| error.name).collect();
        assert_eq!(missing, ["GITEA_TOKEN", "HOOK_SECRET"]);
    }

    #[test]
    fn every_variable_that_is_read_is_in_the_table_once() {
        let names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
