//! The Actualizer's settings, read once.

use std::time::Duration;

use lb_http::contract::{Timeouts, TokenSource};
use lb_vocab::settings::{Reader, Variable};
use lb_vocab::{Limits, Secret};

const CONFIGSTORE_URL: Variable = Variable {
    name: "CONFIGSTORE_URL",
    default: Some("http://localhost:3002"),
    meaning: "base URL of the configstore, where the roster comes from",
};
const GIT_API_URL: Variable = Variable {
    name: "GIT_API_URL",
    default: Some("http://localhost:8080"),
    meaning: "base URL of git-api, where repositories are read and changes are announced",
};
const SYSTEM_TOKEN: Variable = Variable {
    name: "SYSTEM_TOKEN",
    default: None,
    meaning: "token with which the Actualizer speaks to git-api and the configstore; better given as SYSTEM_TOKEN_FILE",
};
const SYSTEM_TOKEN_FILE: Variable = Variable {
    name: "SYSTEM_TOKEN_FILE",
    default: None,
    meaning: "path of a file with the token of SYSTEM_TOKEN, read again for every call; `$AUDIENCE` in it is `git-api` or `configstore`: a projected service-account token for each",
};
const SLEEP_TIME: Variable = Variable {
    name: "SLEEP_TIME",
    default: Some("1000"),
    meaning: "milliseconds from one sweep to the next: the longest time that a lost event goes unnoticed",
};
const ROSTER_INTERVAL: Variable = Variable {
    name: "ROSTER_INTERVAL",
    default: Some("600000"),
    meaning: "milliseconds from one full roster to the next, which finds producers that are gone",
};
const PRODUCER_GRACE: Variable = Variable {
    name: "PRODUCER_GRACE",
    default: Some("600000"),
    meaning: "milliseconds between the two explicit 404s after which a producer is withdrawn",
};
const BRAKE_WINDOW: Variable = Variable {
    name: "BRAKE_WINDOW",
    default: Some("600000"),
    meaning: "milliseconds over which the brake counts withdrawals",
};
const APPLY_INTERVAL: Variable = Variable {
    name: "APPLY_INTERVAL",
    default: Some("500"),
    meaning: "milliseconds between two reconciles of one producer or child; the first nudge is served at once",
};
const WORKERS: Variable =
    Variable { name: "WORKERS", default: Some("16"), meaning: "reconciles that run at the same time" };
const LEASE_DURATION: Variable = Variable {
    name: "LEASE_DURATION",
    default: Some("15000"),
    meaning: "milliseconds after which a silent leader is replaced by the standby",
};
const POD_NAME: Variable = Variable {
    name: "POD_NAME",
    default: None,
    meaning: "this replica's name in the lease; by default one is made up",
};
const LIVE_ADDRESS: Variable = Variable {
    name: "ACTUALIZER_ADDRESS",
    default: Some("0.0.0.0:9090"),
    meaning: "address on which /live, /ready and /metrics are answered",
};

/// The role's variables, beside those of [`lb_desired::settings`].
pub const VARIABLES: &[Variable] = &[
    CONFIGSTORE_URL,
    GIT_API_URL,
    SYSTEM_TOKEN,
    SYSTEM_TOKEN_FILE,
    SLEEP_TIME,
    ROSTER_INTERVAL,
    PRODUCER_GRACE,
    BRAKE_WINDOW,
    APPLY_INTERVAL,
    WORKERS,
    LEASE_DURATION,
    POD_NAME,
    LIVE_ADDRESS,
];

/// What the Actualizer needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Base URL of the configstore.
    pub configstore_url: String,
    /// Base URL of git-api.
    pub git_api_url: String,
    /// The token for both.
    pub system_token: Option<Secret>,
    /// A file with the token for both.
    pub system_token_file: Option<String>,
    /// From one sweep to the next.
    pub sweep_interval: Duration,
    /// From one full roster to the next.
    pub roster_interval: Duration,
    /// Between the two 404s.
    pub producer_grace: Duration,
    /// The brake's window.
    pub brake_window: Duration,
    /// Between two reconciles of one key.
    pub apply_interval: Duration,
    /// Reconciles at the same time.
    pub workers: usize,
    /// The lease's duration.
    pub lease_duration: Duration,
    /// This replica's name.
    pub pod_name: Option<String>,
    /// Where health and metrics are answered.
    pub address: std::net::SocketAddr,
    /// The first wait after a failed reconcile, doubled each time. No variable sets it.
    pub retry_wait: Duration,
    /// How long git-api and the configstore are waited for. No variable sets them.
    pub timeouts: Timeouts,
    /// Default limits of a producer.
    pub limits: Limits,
    /// What plan and build need.
    pub desired: lb_desired::settings::Settings,
}

impl Settings {
    /// How the Actualizer proves to the service that is the audience of its tokens who it is.
    pub(crate) fn token(&self, audience: &str) -> TokenSource {
        match (&self.system_token_file, &self.system_token) {
            (Some(path), _) => TokenSource::file(path.replace("$AUDIENCE", audience).into()),
            (None, Some(token)) => TokenSource::fixed(token.clone()),
            (None, None) => TokenSource::none(),
        }
    }

    /// Reads the role's variables, those of plan and build included.
    pub fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            configstore_url: reader.required(&CONFIGSTORE_URL),
            git_api_url: reader.required(&GIT_API_URL),
            system_token: reader.secret(&SYSTEM_TOKEN),
            system_token_file: reader.text(&SYSTEM_TOKEN_FILE),
            sweep_interval: reader.milliseconds(&SLEEP_TIME),
            roster_interval: reader.milliseconds(&ROSTER_INTERVAL),
            producer_grace: reader.milliseconds(&PRODUCER_GRACE),
            brake_window: reader.milliseconds(&BRAKE_WINDOW),
            apply_interval: reader.milliseconds(&APPLY_INTERVAL),
            workers: reader.parsed(&WORKERS),
            lease_duration: reader.milliseconds(&LEASE_DURATION),
            pod_name: reader.text(&POD_NAME),
            address: reader.parsed(&LIVE_ADDRESS),
            retry_wait: Duration::from_secs(1),
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            desired: lb_desired::settings::Settings::read(reader),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn each_service_gets_the_token_for_it() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["git-api", "configstore", "both"] {
            std::fs::write(directory.path().join(name), format!("for {name}\n")).unwrap();
        }
        let settings = |file: &str| {
            let path = directory.path().join(file).display().to_string();
            let variables = [("SYSTEM_TOKEN_FILE".to_owned(), path)].into();
            Settings::read(&mut Reader::new(&variables))
        };
        let token = |file: &str, audience: &str| settings(file).token(audience).token().unwrap();
        assert_eq!(token("$AUDIENCE", "git-api").reveal(), "for git-api");
        assert_eq!(token("$AUDIENCE", "configstore").reveal(), "for configstore");
        assert_eq!(token("both", "configstore").reveal(), "for both");
    }

    #[test]
    fn every_default_is_read() {
        let variables = BTreeMap::new();
        let mut reader = Reader::new(&variables);
        let settings = Settings::read(&mut reader);
        let (settings, _) = reader.finish(settings).unwrap();
        assert_eq!((settings.workers, settings.address.port()), (16, 9090));
        assert_eq!(settings.lease_duration, Duration::from_secs(15));
    }
}
