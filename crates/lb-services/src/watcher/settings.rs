//! Settings of the watcher.

use std::net::SocketAddr;
use std::path::PathBuf;

use lb_desired::settings::{NamespaceTemplate, TARGET_NAMESPACE};
use lb_http::auth::{self, AuthError, AuthSettings};
use lb_http::contract::TokenSource;
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Clock, Prefix, Secret};
use url::Url;

use crate::accounts::{self, ReviewSettings};
use crate::settings::{
    CORS_ORIGINS, GIT_API_URL, SYSTEM_TOKEN, SYSTEM_TOKEN_FILE, count, origins, own_token, url,
};

const WATCHER_LISTEN: Variable = Variable {
    name: "WATCHER_LISTEN",
    default: Some("0.0.0.0:7788"),
    meaning: "address and port on which the watcher listens",
};
const WATCHER_CLIENTS: Variable = Variable {
    name: "WATCHER_CLIENTS",
    default: Some("4000"),
    meaning: "streams that are open at once; one caller gets a tenth of them at most, the platform's own parts apart",
};
const CUSTOMER_NAMESPACE: Variable = Variable {
    name: "CUSTOMER_NAMESPACE",
    default: Some("customer"),
    meaning: "the prefix of producers' git users",
};

/// Every variable that the watcher reads.
pub const VARIABLES: &[Variable] = &[
    WATCHER_LISTEN,
    WATCHER_CLIENTS,
    CUSTOMER_NAMESPACE,
    TARGET_NAMESPACE,
    GIT_API_URL,
    SYSTEM_TOKEN,
    SYSTEM_TOKEN_FILE,
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

/// Settings of the watcher.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Streams that are open at once.
    pub clients: usize,
    /// Prefix of the git users that are producers.
    pub prefix: Prefix,
    /// Where producers' objects are.
    pub target: NamespaceTemplate,
    /// Where git-api is.
    pub git_api_url: Url,
    /// Token for git-api.
    pub system_token: Option<Secret>,
    /// File with the token for git-api.
    pub system_token_file: Option<PathBuf>,
    /// Who may call from a browser.
    pub origins: Origins,
    /// How callers are identified.
    pub auth: AuthSettings,
    /// How tokens of service accounts are checked.
    pub review: ReviewSettings,
}

impl Settings {
    /// Reads the settings.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        let target: NamespaceTemplate = reader.parsed(&TARGET_NAMESPACE);
        Self {
            listen: reader.parsed(&WATCHER_LISTEN),
            clients: count(reader, &WATCHER_CLIENTS),
            prefix: reader.parsed(&CUSTOMER_NAMESPACE),
            git_api_url: url(reader, &GIT_API_URL),
            system_token: reader.secret(&SYSTEM_TOKEN),
            system_token_file: reader.text(&SYSTEM_TOKEN_FILE).map(PathBuf::from),
            origins: origins(reader),
            auth: AuthSettings::read(reader),
            review: ReviewSettings::read(reader, target.clone()),
            target,
        }
    }

    /// How the watcher proves to git-api who it is.
    pub(super) fn token(&self, clock: &Clock) -> Result<TokenSource, AuthError> {
        own_token("watcher", self.system_token.as_ref(), self.system_token_file.as_ref(), &self.auth, clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_wrong_values() {
        let read = |pairs: &[(&str, &str)]| {
            let variables = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let mut reader = Reader::new(&variables);
            let settings = Settings::read(&mut reader);
            reader.finish(settings)
        };
        let (settings, _) = read(&[]).unwrap();
        assert_eq!((settings.listen.port(), settings.clients), (7788, 4000));
        assert_eq!(settings.target.single(), Some("customer"));
        let wrong = [("WATCHER_LISTEN", "7788"), ("WATCHER_CLIENTS", "0"), ("CUSTOMER_NAMESPACE", "A")];
        let errors = read(&wrong).unwrap_err();
        let names: Vec<_> = errors.iter().map(|error| error.name).collect();
        assert_eq!(names, ["WATCHER_LISTEN", "WATCHER_CLIENTS", "CUSTOMER_NAMESPACE"]);
    }
}
