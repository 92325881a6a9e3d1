//! Settings of git-api.

use std::net::SocketAddr;
use std::path::PathBuf;

use lb_http::auth::{self, AuthSettings};
use lb_http::serve::Origins;
use lb_vocab::Secret;
use lb_vocab::settings::{Reader, Variable};
use url::Url;

use crate::settings::{CORS_ORIGINS, count, origins, url};

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
const GITEA_TOKEN: Variable =
    Variable { name: "GITEA_TOKEN", default: None, meaning: "an admin's token for Gitea" };

/// The variables of git-api, beside those of [`lb_desired::settings`], which the preview of a push is made with.
pub const VARIABLES: &[Variable] = &[
    GIT_API_LISTEN,
    GIT_API_USER_RATE_LIMIT,
    GIT_API_TOTAL_LIMIT,
    CONFIGSTORE_HOOK_URL,
    GIT_DATA_DIR,
    GITEA_HOST,
    GITEA_TOKEN,
    CORS_ORIGINS,
    auth::VARIABLES[0],
    auth::VARIABLES[1],
    auth::VARIABLES[2],
    auth::VARIABLES[3],
    auth::VARIABLES[4],
];
const _: () = assert!(auth::VARIABLES.len() == 5, "every variable of the seam is in the table");

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
    /// Directory of the embedded host.
    pub data_dir: PathBuf,
    /// Base URL of Gitea, instead of the embedded host.
    pub gitea_host: Option<String>,
    /// Gitea's admin token.
    pub gitea_token: Option<Secret>,
    /// Who may call from a browser.
    pub origins: Origins,
    /// How callers are identified.
    pub auth: AuthSettings,
}

impl Settings {
    /// Reads the settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            listen: reader.parsed(&GIT_API_LISTEN),
            platform: lb_desired::settings::Settings::read(reader),
            user_rate_limit: count(reader, &GIT_API_USER_RATE_LIMIT),
            total_limit: count(reader, &GIT_API_TOTAL_LIMIT),
            hook_url: url(reader, &CONFIGSTORE_HOOK_URL),
            data_dir: PathBuf::from(reader.required(&GIT_DATA_DIR)),
            gitea_host: reader.text(&GITEA_HOST),
            gitea_token: reader.secret(&GITEA_TOKEN),
            origins: origins(reader),
            auth: AuthSettings::read(reader),
        }
    }
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
            ("CORS_ORIGINS", "https://ui.example.com/"),
            ("AUTH_MODE", "off"),
        ];
        let errors = read(&wrong).unwrap_err();
        for (name, _) in wrong {
            assert!(errors.iter().any(|error| error.name == name), "{name}: {errors:?}");
        }
        let (settings, _) = read(&[("GITEA_TOKEN", "hunter2")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn every_variable_that_is_read_is_in_the_table_once() {
        let names: Vec<_> = VARIABLES.iter().map(|variable| variable.name).collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
