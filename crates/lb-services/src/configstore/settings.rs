//! Settings of the configstore.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lb_desired::settings::TARGET_NAMESPACE;
use lb_http::auth::{self, AuthError, AuthSettings};
use lb_http::contract::TokenSource;
use lb_http::contract::hook::HookKey;
use lb_http::serve::Origins;
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Clock, Prefix, Secret};
use url::Url;

use crate::accounts::{self, ReviewSettings};
use crate::settings::{
    CORS_ORIGINS, GIT_API_URL, HOOK_SECRET, SYSTEM_TOKEN, SYSTEM_TOKEN_FILE, count, origins, own_token, url,
};

const CONFIGSTORE_LISTEN: Variable = Variable {
    name: "CONFIGSTORE_LISTEN",
    default: Some("0.0.0.0:3002"),
    meaning: "address and port on which the configstore listens",
};
const REPO_PREFIX: Variable = Variable {
    name: "REPO_PREFIX",
    default: Some("customer"),
    meaning: "prefix of git users: the configstore's name for CUSTOMER_NAMESPACE",
};
const CONFIGSTORE_HOOK_URL: Variable = Variable {
    name: "CONFIGSTORE_HOOK_URL",
    default: Some("http://configstore.default/hook"),
    meaning: "the configstore's own /hook, as the git server reaches it: registered on a producer's repositories",
};
const SIGN_UP: Variable = Variable {
    name: "SIGN_UP",
    default: Some("operator"),
    meaning: "who makes producers: `operator`, or `self`: every git user, too, who then administers them",
};
const SIGN_UP_LIMIT: Variable = Variable {
    name: "SIGN_UP_LIMIT",
    default: Some("3"),
    meaning: "producers that one git user may administer before it can make no more by itself",
};
const HOOK_GRACE: Variable = Variable {
    name: "HOOK_GRACE",
    default: Some("60000"),
    meaning: "milliseconds in which the webhook of a push must have come; then it is registered anew",
};

/// Every variable that the configstore reads.
pub const VARIABLES: &[Variable] = &[
    CONFIGSTORE_LISTEN,
    REPO_PREFIX,
    GIT_API_URL,
    CONFIGSTORE_HOOK_URL,
    HOOK_SECRET,
    SIGN_UP,
    SIGN_UP_LIMIT,
    HOOK_GRACE,
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
    TARGET_NAMESPACE,
];
const _: () = assert!(auth::VARIABLES.len() == 5, "every variable of the seam is in the table");
const _: () = assert!(accounts::VARIABLES.len() == 3, "every variable of reviews is in the table");

/// Who makes producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUp {
    /// Operators alone.
    Operator,
    /// Every git user, too.
    SelfService,
}

impl std::str::FromStr for SignUp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "operator" => Ok(Self::Operator),
            "self" => Ok(Self::SelfService),
            _ => Err("`operator` and `self` are possible"),
        }
    }
}

/// Settings of the configstore.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Prefix of the git users that are producers.
    pub prefix: Prefix,
    /// Where git-api is.
    pub git_api_url: Url,
    /// Its own `/hook`, as the git server reaches it.
    pub hook_url: Url,
    /// What the secrets of webhooks are made of.
    pub hook_key: Option<HookKey>,
    /// Who makes producers.
    pub sign_up: SignUp,
    /// Producers that one git user may administer before it makes no more by itself.
    pub sign_up_limit: usize,
    /// In what time a push's webhook must have come.
    pub hook_grace: Duration,
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
        let target = reader.parsed(&TARGET_NAMESPACE);
        Self {
            listen: reader.parsed(&CONFIGSTORE_LISTEN),
            prefix: reader.parsed(&REPO_PREFIX),
            git_api_url: url(reader, &GIT_API_URL),
            hook_url: url(reader, &CONFIGSTORE_HOOK_URL),
            hook_key: reader.secret(&HOOK_SECRET).map(HookKey::new),
            sign_up: reader.parsed(&SIGN_UP),
            sign_up_limit: count(reader, &SIGN_UP_LIMIT),
            hook_grace: reader.milliseconds(&HOOK_GRACE),
            system_token: reader.secret(&SYSTEM_TOKEN),
            system_token_file: reader.text(&SYSTEM_TOKEN_FILE).map(PathBuf::from),
            origins: origins(reader),
            auth: AuthSettings::read(reader),
            review: ReviewSettings::read(reader, target),
        }
    }

    /// How the configstore proves to git-api who it is.
    pub(super) fn token(&self, clock: &Clock) -> Result<TokenSource, AuthError> {
        own_token(
            "configstore",
            self.system_token.as_ref(),
            self.system_token_file.as_ref(),
            &self.auth,
            clock,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn defaults_and_wrong_values() {
        let read = |pairs: &[(&str, &str)]| {
            let variables: BTreeMap<String, String> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let mut reader = Reader::new(&variables);
            let settings = Settings::read(&mut reader);
            reader.finish(settings)
        };
        let (settings, _) = read(&[("SYSTEM_TOKEN", "hunter2"), ("HOOK_SECRET", "hunter3")]).unwrap();
        assert_eq!((settings.listen.port(), settings.git_api_url.as_str()), (3002, "http://localhost:8080/"));
        assert!(!format!("{settings:?}").contains("hunter"));
        let clock = lb_testkit::clock::system();
        assert_eq!(settings.token(&clock).unwrap().token().unwrap().reveal(), "hunter2");
        let wrong = [
            ("CONFIGSTORE_LISTEN", "x"),
            ("REPO_PREFIX", "A"),
            ("GIT_API_URL", "git-api"),
            ("AUTH_MODE", ""),
        ];
        let errors = read(&wrong).unwrap_err();
        let names: Vec<_> = errors.iter().map(|error| error.name).collect();
        assert_eq!(names, ["CONFIGSTORE_LISTEN", "REPO_PREFIX", "GIT_API_URL"], "empty counts as not set");
    }
}
