//! configstore: the facade over all producers. It keeps nothing: every answer is made from git-api's, over HTTP.

mod deliveries;
mod external;
mod follow;
mod hook;
mod openapi;
mod producers;
mod repairs;
mod routes;
mod settings;
mod sign_up;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lb_cluster::Cluster;
use lb_http::auth::Accesses;
use lb_http::contract::Timeouts;
use lb_http::contract::git_api::GitApi;
use lb_http::contract::hook::HookKey;
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::Common;
use lb_vocab::{Clock, Prefix, ProducerName};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use routes::ROUTES;
pub use settings::{Settings, SignUp, VARIABLES};

use crate::ServeError;
use crate::callers::{GitPasswords, ProducerGuard, upstream};
use crate::git_api::limits::Limits;
use deliveries::Deliveries;
use follow::Followers;
use repairs::Repairs;

/// The audience of tokens for the configstore.
pub const AUDIENCE: &str = lb_desired::build::CONFIGSTORE_AUDIENCE;

/// Sign-ups at once, of different people.
const SIGN_UPS: usize = 20;

/// What handlers share.
struct App {
    git: GitApi,
    prefix: Prefix,
    hook_url: url::Url,
    hook_key: Option<HookKey>,
    deliveries: Deliveries,
    sign_up: SignUp,
    sign_up_limit: usize,
    /// Whoever signs up does so once at a time: its producers are counted before.
    sign_ups: Limits,
    repairs: Repairs,
    followers: Followers,
    metrics: Metrics,
    shutdown: CancellationToken,
}

type Shared = Arc<App>;

/// The configstore on its address, not serving yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: axum::Router,
    app: Shared,
}

impl Server {
    /// Takes the address, so that from now on clients can connect. Tokens of service accounts are those of `cluster`.
    ///
    /// # Errors
    /// Where the address is taken, or keys and tokens cannot be read.
    pub async fn bind(
        settings: &Settings,
        cluster: Option<Cluster>,
        clock: &Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, ServeError> {
        let token = settings.token(clock)?;
        let git = GitApi::new(settings.git_api_url.clone(), token, Timeouts::default())?;
        let passwords = GitPasswords(git.clone());
        let authenticator = settings.auth.authenticator(AUDIENCE, clock)?.passwords(Arc::new(passwords));
        let authenticator = settings.review.extend(authenticator, cluster, AUDIENCE, clock);
        let accesses = Accesses::new(git.clone(), clock.clone());
        let guard = ProducerGuard { prefix: settings.prefix.clone(), accesses, named };
        let seam = Seam::new(authenticator, Arc::new(guard));
        let metrics = Metrics::default();
        let app = Arc::new(App {
            git,
            prefix: settings.prefix.clone(),
            hook_url: settings.hook_url.clone(),
            hook_key: settings.hook_key.clone(),
            deliveries: Deliveries::new(clock.clone()),
            sign_up: settings.sign_up,
            sign_up_limit: settings.sign_up_limit,
            sign_ups: Limits::new(1, SIGN_UPS),
            repairs: Repairs::new(clock.clone(), settings.hook_grace, &metrics),
            followers: Followers::default(),
            metrics: metrics.clone(),
            shutdown,
        });
        let routes = routes::all(&seam).with_state(Arc::clone(&app));
        let waits = Arc::clone(&app);
        let ready = Arc::new(move || {
            let connected = waits.followers.connected.load(Ordering::Relaxed);
            if connected { Vec::new() } else { vec!["git-api".to_owned()] }
        });
        let common = Common { seam, metrics, ready, origins: settings.origins.clone() };
        let listen = |source| ServeError::Listen { address: settings.listen, source };
        let listener = TcpListener::bind(settings.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, routes: common.wrap(routes), app })
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
        tracing::info!(address = %self.address, "configstore serves");
        let shutdown = self.app.shutdown.clone();
        let serving = lb_http::serve::run(self.listener, self.routes, shutdown);
        let (follow, deliveries) = (follow::run(&self.app), deliveries::run(&self.app));
        let (served, (), (), ()) = tokio::join!(serving, follow, deliveries, repairs::run(&self.app));
        served.map_err(ServeError::Serve)
    }
}

/// The producer that a path names.
fn named(parameters: &[(String, String)]) -> Option<ProducerName> {
    parameters.iter().find(|(key, _)| key == "name")?.1.parse().ok()
}
