//! Connecting: the cluster that somebody named, never one that merely happens to be configured.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, header};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde_json::Value;

use crate::error::ApiError;
use crate::lease::Leadership;
use crate::requests::Requests;

/// Which cluster to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that a file names.
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The context; `None`: the file's current one.
        context: Option<String>,
    },
    /// The one that we run in, as our pod's service account.
    InCluster,
}

impl Target {
    /// The cluster to use: a named file first, then the one that we run in. `environment` is a copy of the
    /// process's environment.
    ///
    /// # Errors
    /// Where neither is there. The `KUBECONFIG` variable alone is not enough (settled.md, "Tools and crates"): whoever
    /// has it set for other work would see producers deployed into the wrong cluster.
    pub fn choose(
        kubeconfig: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, ConnectError> {
        if let Some(path) = kubeconfig {
            return Ok(Self::Kubeconfig { path: path.to_owned(), context: None });
        }
        let set = |name: &str| environment.get(name).is_some_and(|value| !value.is_empty());
        if set("KUBERNETES_SERVICE_HOST") {
            return Ok(Self::InCluster);
        }
        Err(ConnectError::NoCluster { ignored: if set("KUBECONFIG") { KUBECONFIG_IGNORED } else { "" } })
    }
}

const KUBECONFIG_IGNORED: &str = " (the KUBECONFIG variable is set and is not looked at)";

/// How to talk to a cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `User-Agent` of every request: who it is in the API server's audit log.
    pub user_agent: String,
    /// How long one request may take, watches apart.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("lunchbadger/", env!("CARGO_PKG_VERSION")).to_owned(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// Why no connection can be made. Nothing was sent yet.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody named a cluster.
    #[error("no cluster is named: pass --kubeconfig FILE{ignored}, or run in the cluster")]
    NoCluster {
        /// What was found and not used.
        ignored: &'static str,
    },
    /// The file is not there or cannot be used.
    #[error("the kubeconfig {} cannot be used", .path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// The pod's service account is not there.
    #[error("this pod's service account cannot be used: is its token mounted?")]
    InCluster {
        /// Why.
        source: kube::config::InClusterError,
    },
    /// The client cannot be made of it.
    #[error("no client can be made for this cluster")]
    Client {
        /// Why.
        source: Box<kube::Error>,
    },
    /// The user agent is no header value.
    #[error("`{0}` cannot be a User-Agent")]
    UserAgent(String),
}

/// A connection to one cluster.
///
/// Guarantees: every request carries the user agent, is counted, has a deadline, and is sent once (retrying is the
/// caller's queue's business). Writes are withheld while a [guard](Self::guard) says that we do not lead.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    requests: Requests,
    timeout: Duration,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Makes a client. Nothing is sent.
    ///
    /// # Errors
    /// Where the target cannot be used: what, and why.
    pub async fn connect(target: &Target, options: &Options) -> Result<Self, ConnectError> {
        // kube takes the process's TLS provider; one that is installed already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = read(target).await?;
        let agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|_| ConnectError::UserAgent(options.user_agent.clone()))?;
        config.headers.push((header::USER_AGENT, agent));
        config.connect_timeout = Some(options.timeout.min(Duration::from_secs(10)));
        config.default_retry = false;
        let requests = Requests::default();
        let client = ClientBuilder::try_from(config)
            .map_err(|source| ConnectError::Client { source: Box::new(source) })?
            .with_layer(&requests)
            .build();
        Ok(Self { client, requests, timeout: options.timeout })
    }

    /// The client, for reads that this crate has no method for.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What was sent so far.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// From now on every write, leases apart, fails with [`ApiError::NotLeading`] while `leadership` is not ours.
    pub fn guard(&self, leadership: Leadership) {
        self.requests.guard(leadership);
    }

    /// How long one request may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Waits for a request's answer, within the deadline.
    pub(crate) async fn call<T>(
        &self,
        attempt: &str,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, ApiError> {
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(ApiError::new(attempt, error)),
            Err(_) => Err(ApiError::TimedOut { attempt: attempt.to_owned(), after: self.timeout }),
        }
    }

    /// Sends a request and reads the answer as JSON. Nothing of an answer gets into an error or a log: it may be a
    /// secret.
    pub(crate) async fn send(
        &self,
        attempt: &str,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, ApiError> {
        let request = request.map_err(|error| ApiError::new(attempt, kube::Error::BuildRequest(error)))?;
        let text = self.call(attempt, self.client.request_text(request)).await?;
        serde_json::from_str(&text).map_err(|_| ApiError::Malformed {
            attempt: attempt.to_owned(),
            what: format!("{} bytes that are not JSON", text.len()),
        })
    }
}

async fn read(target: &Target) -> Result<Config, ConnectError> {
    match target {
        Target::InCluster => Config::incluster().map_err(|source| ConnectError::InCluster { source }),
        Target::Kubeconfig { path, context } => {
            let fail = |source| ConnectError::Kubeconfig { path: path.clone(), source: Box::new(source) };
            let file = Kubeconfig::read_from(path).map_err(fail)?;
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            // A proxy of the environment is for the world outside; one that the file names is for this cluster.
            let proxied = file
                .clusters
                .iter()
                .any(|named| named.cluster.as_ref().is_some_and(|cluster| cluster.proxy_url.is_some()));
            let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(fail)?;
            if !proxied {
                config.proxy_url = None;
            }
            Ok(config)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_cluster_is_used_only_where_it_is_named() {
        let inside = environment(&[("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBECONFIG", "/k")]);
        let named = Target::choose(Some(Path::new("/mine")), &inside).unwrap();
        assert_eq!(named, Target::Kubeconfig { path: "/mine".into(), context: None });
        assert_eq!(Target::choose(None, &inside).unwrap(), Target::InCluster);
        let variable = Target::choose(None, &environment(&[("KUBECONFIG", "/k")])).unwrap_err().to_string();
        assert!(variable.contains("KUBECONFIG") && variable.contains("--kubeconfig"), "{variable}");
        let none = Target::choose(None, &environment(&[("KUBECONFIG", "")])).unwrap_err().to_string();
        assert!(!none.contains("KUBECONFIG") && none.contains("--kubeconfig"), "{none}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_missing_is_named() {
        let target = Target::Kubeconfig { path: "/nowhere/kubeconfig".into(), context: None };
        let error = Cluster::connect(&target, &Options::default()).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/kubeconfig"), "{error}");
    }
}
