//! How commands reach the cluster, the configstore and git-api.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use lb_cluster::{Cluster, Options, Target};
use lb_http::auth::AuthSettings;
use lb_http::contract::configstore::{Configstore, Hooks};
use lb_http::contract::git_api::{GitApi, Login, SignIn};
use lb_http::contract::{Timeouts, TokenSource};
use lb_process::environment::Variables;
use lb_services::ReviewSettings;
use lb_vocab::settings::AuthMode;
use lb_vocab::{GitUser, Prefix, ProducerName};

use crate::cli::Global;
use crate::logins::Logins;

/// How long a caller waits for the review of its token.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// How long is waited for what is shown beside something else.
const ASIDE: Duration = Duration::from_secs(2);

/// Where everything is, from the options and the environment.
pub(crate) struct Connect<'a> {
    global: &'a Global,
    variables: &'a Variables,
}

impl<'a> Connect<'a> {
    /// Reads options first, the environment where they say nothing.
    pub(crate) fn new(global: &'a Global, variables: &'a Variables) -> Self {
        Self { global, variables }
    }

    /// Whether a cluster is named, or this runs inside one.
    pub(crate) fn has_cluster(&self) -> bool {
        self.global.kubeconfig.is_some() || self.set("KUBERNETES_SERVICE_HOST").is_some()
    }

    /// A connection to the cluster.
    ///
    /// # Errors
    /// Where none is named, or its kubeconfig does not do. The cluster itself is not asked yet.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        self.cluster_as("lunchbadger-cli").await
    }

    /// A connection whose requests carry this name.
    pub(crate) async fn cluster_as(&self, who: &str) -> Result<Cluster> {
        self.connect(&options(who)).await
    }

    async fn connect(&self, options: &Options) -> Result<Cluster> {
        let mut target = Target::choose(self.global.kubeconfig.as_deref(), self.variables)?;
        if let Target::Kubeconfig { context, .. } = &mut target {
            context.clone_from(&self.global.context);
        }
        Ok(Cluster::connect(&target, options).await?)
    }

    /// The cluster whose service accounts a role's callers may be, where its settings allow that.
    ///
    /// # Errors
    /// Where there has to be one and none is named.
    pub(crate) async fn cluster_of_callers(
        &self,
        role: &str,
        auth: &AuthSettings,
        review: &ReviewSettings,
    ) -> Result<Option<Cluster>> {
        let enabled = auth.mode == AuthMode::Tokens && review.enabled.unwrap_or(self.has_cluster());
        if !enabled {
            return Ok(None);
        }
        let options = Options { timeout: REVIEW_TIMEOUT, ..options(&format!("lunchbadger-{role}")) };
        let cluster = self.connect(&options).await.context("AUTH_TOKEN_REVIEW needs a cluster")?;
        Ok(Some(cluster))
    }

    /// A client of the cluster.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        Ok(self.cluster().await?.client().clone())
    }

    /// A client of the configstore.
    pub(crate) async fn configstore(&self) -> Result<Configstore> {
        let url =
            self.url(self.global.configstore_url.as_deref(), "CONFIGSTORE_URL", "http://localhost:3002")?;
        let token = self.token(lb_services::configstore::AUDIENCE).await?;
        Ok(Configstore::new(url, token, Timeouts::default())?)
    }

    /// A client of git-api.
    pub(crate) async fn git_api(&self) -> Result<GitApi> {
        let token = self.token(lb_services::git_api::AUDIENCE).await?;
        Ok(GitApi::new(self.git_api_url()?, token, Timeouts::default())?)
    }

    /// Base URL of git-api: people clone from it.
    pub(crate) fn git_api_url(&self) -> Result<url::Url> {
        self.url(self.global.git_api_url.as_deref(), "GIT_API_URL", "http://localhost:8080")
    }

    /// The git user of a producer.
    pub(crate) fn git_user(&self, producer: &ProducerName) -> Result<GitUser> {
        let prefix: Prefix =
            self.set("CUSTOMER_NAMESPACE").unwrap_or("customer").parse().context("CUSTOMER_NAMESPACE")?;
        Ok(GitUser::of(prefix, producer))
    }

    /// Namespace of the control plane.
    pub(crate) fn control_namespace(&self) -> &str {
        self.set("CONTROL_PLANE_NAMESPACE").unwrap_or("default")
    }

    fn set(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    fn url(&self, option: Option<&str>, variable: &str, default: &str) -> Result<url::Url> {
        let text = option.or_else(|| self.set(variable)).unwrap_or(default);
        let url: url::Url = text.parse().with_context(|| format!("`{text}` is no URL: {default} is one"))?;
        match url.scheme() {
            "http" | "https" => Ok(url),
            other => Err(anyhow!("`{text}`: `{other}` is not http or https: {default} would do")),
        }
    }

    /// What `lunchbadger login` kept.
    pub(crate) fn logins(&self) -> Result<Logins> {
        Logins::read(self.variables)
    }

    /// Whether commands act for whoever signed in, and not for the platform.
    pub(crate) fn signed_in(&self) -> Result<bool> {
        Ok(self.token_file().is_none() && self.login_for(&self.git_api_url()?).is_some())
    }

    /// Who signed in to a git-api. Without a home directory nobody has.
    fn login_for(&self, git_api: &url::Url) -> Option<Login> {
        self.logins().inspect_err(|error| tracing::debug!(%error, "no logins")).ok()?.of(git_api)
    }

    /// What webhooks did; `None` where no token is given, or the configstore does not tell whoever has it.
    pub(crate) async fn hooks(&self) -> Option<Hooks> {
        self.token_file()?;
        let configstore = self.configstore().await.ok()?;
        tokio::time::timeout(ASIDE, configstore.hooks()).await.ok()?.ok()
    }

    fn token_file(&self) -> Option<PathBuf> {
        self.global.token_file.clone().or_else(|| self.set("LUNCHBADGER_TOKEN_FILE").map(PathBuf::from))
    }

    /// The token of the file; where none is named, one of ten minutes for whoever signed in.
    async fn token(&self, audience: &str) -> Result<TokenSource> {
        if let Some(file) = self.token_file() {
            std::fs::File::open(&file).with_context(|| format!("open the token file {}", file.display()))?;
            return Ok(TokenSource::file(file));
        }
        let url = self.git_api_url()?;
        let Some(login) = self.login_for(&url) else { return Ok(TokenSource::none()) };
        let issued = SignIn::new(url.clone(), Timeouts::default())?.token(&login, audience).await;
        let issued = issued.with_context(|| {
            format!("get a token from {url} for whoever signed in: `lunchbadger login` signs in anew")
        })?;
        Ok(TokenSource::fixed(issued.token))
    }
}

/// Requests that carry this name.
fn options(who: &str) -> Options {
    Options { user_agent: format!("{who}/{}", env!("CARGO_PKG_VERSION")), ..Options::default() }
}
