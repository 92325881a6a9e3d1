//! git-api: the git data plane, and a narrow facade over the git server. The rest of the system knows no other way
//! to it, and nobody else holds a git host's credentials.

mod access;
mod callbacks;
mod changes;
mod errors;
mod files;
mod forward_auth;
mod guard;
pub(crate) mod limits;
mod openapi;
mod remote;
mod routes;
mod settings;
mod sign_in;
mod smart_http;
mod statuses;
mod target;
mod users;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use lb_cluster::Cluster;
use lb_git::GitHost;
use lb_http::auth::Passwords;
use lb_http::contract::git_api::Permission;
use lb_http::contract::hook::HookKey;
use lb_http::error::ApiError;
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::Common;
use lb_vocab::{Clock, Prefix, Secret};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use callbacks::Allowed;
pub use routes::ROUTES;
pub use settings::{Gitea, OAuth, Settings, VARIABLES};

use crate::ServeError;

/// The audience of tokens for git-api.
pub const AUDIENCE: &str = lb_desired::build::GIT_API_AUDIENCE;

/// What handlers share.
struct App {
    host: Arc<dyn GitHost>,
    prefix: Prefix,
    callbacks: callbacks::Callbacks,
    hook_key: Option<HookKey>,
    /// Where people sign in; without a key to sign with there is none.
    desk: Option<sign_in::Desk>,
    /// Domain of the producers' hosts.
    domain: String,
    previews: remote::Previews,
    limits: limits::Limits,
    strangers: Arc<limits::Strangers>,
    clock: Clock,
    metrics: Metrics,
    shutdown: CancellationToken,
}

type Shared = Arc<App>;

/// git-api on its address, not serving yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: axum::Router,
    shutdown: CancellationToken,
}

impl Server {
    /// Takes the address, so that from now on clients can connect. Tokens of service accounts are those of `cluster`.
    ///
    /// # Errors
    /// Where the address is taken, or keys and tokens cannot be read.
    pub async fn bind(
        settings: &Settings,
        host: Arc<dyn GitHost>,
        cluster: Option<Cluster>,
        clock: &Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, ServeError> {
        let strangers = Arc::new(limits::Strangers::new());
        let passwords =
            Arc::new(HostPasswords { host: Arc::clone(&host), strangers: Arc::clone(&strangers) });
        let authenticator = settings.auth.authenticator(AUDIENCE, clock)?.passwords(passwords.clone());
        let authenticator = settings.review.extend(authenticator, cluster, AUDIENCE, clock);
        let guard = guard::HostGuard { host: host.clone(), prefix: settings.platform.prefix.clone() };
        let seam = Seam::new(authenticator, Arc::new(guard));
        let metrics = Metrics::default();
        let previews = remote::Previews::new(host.clone(), settings.platform.clone());
        let app = Arc::new(App {
            host,
            prefix: settings.platform.prefix.clone(),
            callbacks: callbacks::Callbacks::new(settings.hook_url.clone(), settings.hook_allowed.clone()),
            hook_key: settings.hook_key.clone(),
            desk: desk(settings, passwords, clock)?,
            domain: settings.platform.domain.to_string(),
            previews,
            limits: limits::Limits::new(settings.user_rate_limit, settings.total_limit),
            strangers,
            clock: clock.clone(),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
        });
        let routes = routes::all(&seam).with_state(app);
        let common = Common { seam, metrics, ready: Arc::new(Vec::new), origins: settings.origins.clone() };
        let listen = |source| ServeError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, app: common.wrap(routes), shutdown })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown.
    ///
    /// # Errors
    /// Where the listener fails for good.
    pub async fn run(self) -> Result<(), ServeError> {
        tracing::info!(address = %self.address, "git-api serves");
        lb_http::serve::run(self.listener, self.app, self.shutdown).await.map_err(ServeError::Serve)
    }
}

/// Where people sign in: with what the git host gave them, or with a static token.
fn desk(
    settings: &Settings,
    passwords: Arc<HostPasswords>,
    clock: &Clock,
) -> Result<Option<sign_in::Desk>, ServeError> {
    let Some(signer) = settings.auth.signer(clock)? else { return Ok(None) };
    let people = settings.auth.people()?.passwords(passwords);
    let how = sign_in::Settings {
        session_lifetime: settings.session_lifetime,
        public_url: settings.public_url.clone(),
        origins: settings.origins.clone(),
    };
    Ok(Some(sign_in::Desk::new(signer, people, how)))
}

/// Git users with the host's tokens or passwords.
struct HostPasswords {
    host: Arc<dyn GitHost>,
    strangers: Arc<limits::Strangers>,
}

impl Passwords for HostPasswords {
    fn check<'a>(
        &'a self,
        login: &'a str,
        password: &'a Secret,
    ) -> futures::future::BoxFuture<'a, Result<Option<Permission>, ApiError>> {
        Box::pin(async move {
            let Ok(login) = login.parse() else { return Ok(None) };
            let _place = self.strangers.enter().await?;
            let reach = self.host.authenticate(&login, password).await.map_err(errors::api)?;
            Ok(reach.map(wire::from_host))
        })
    }
}
