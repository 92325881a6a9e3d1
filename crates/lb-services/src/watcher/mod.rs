//! watcher: how the pods of an environment fare, as server-sent events, each the whole state.
//!
//! watch on pods, Deployments and EndpointSlices, one each for all clients (`lb_cluster::Groups`) → `objects` (what is kept of
//! an object) → `state` (an environment's message) → `hub` (who listens; changes within 50 ms are told together) → `stream`.

mod hub;
mod objects;
mod places;
mod routes;
mod settings;
mod state;
mod stream;

use std::net::SocketAddr;
use std::sync::Arc;

use lb_cluster::Cluster;
use lb_http::auth::{Accesses, Guard};
use lb_http::contract::Timeouts;
use lb_http::contract::git_api::GitApi;
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::Common;
use lb_vocab::{Clock, Producer, ProducerName};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use routes::ROUTES;
pub use settings::{Settings, VARIABLES};

use crate::ServeError;
use crate::callers::{GitPasswords, ProducerGuard};
use hub::Hub;
use objects::Reading;
use places::Places;

/// The audience of tokens for the watcher.
pub const AUDIENCE: &str = "watcher";

/// What handlers share.
struct App {
    hub: Arc<Hub>,
    guard: Arc<ProducerGuard>,
    places: Places,
    metrics: Metrics,
    shutdown: CancellationToken,
}

type Shared = Arc<App>;

/// The watcher on its address, not serving yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: axum::Router,
    app: Shared,
}

impl Server {
    /// Takes the address, and begins to watch `cluster`. Tokens of service accounts are those of `callers`.
    ///
    /// # Errors
    /// Where the address is taken, or keys and tokens cannot be read.
    pub async fn bind(
        settings: &Settings,
        cluster: &Cluster,
        callers: Option<Cluster>,
        clock: &Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, ServeError> {
        let git = GitApi::new(settings.git_api_url.clone(), settings.token(clock)?, Timeouts::default())?;
        let authenticator = settings.auth.authenticator(AUDIENCE, clock)?;
        let authenticator = authenticator.passwords(Arc::new(GitPasswords(git.clone())));
        let authenticator = settings.review.extend(authenticator, callers, AUDIENCE, clock);
        let accesses = Accesses::new(git, clock.clone());
        let guard = Arc::new(ProducerGuard { prefix: settings.prefix.clone(), accesses, named });
        let seam = Seam::new(authenticator, Arc::clone(&guard) as Arc<dyn Guard>);
        let hub = Arc::new(Hub::watch(cluster, &Reading { target: settings.target.clone() }));
        let metrics = Metrics::default();
        let app = Arc::new(App {
            hub: Arc::clone(&hub),
            guard,
            places: Places::new(settings.clients),
            metrics: metrics.clone(),
            shutdown,
        });
        let routes = routes::all(&seam).with_state(Arc::clone(&app));
        let ready = Arc::new(move || hub.waiting());
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
        tracing::info!(address = %self.address, "the watcher serves");
        let serving = lb_http::serve::run(self.listener, self.routes, self.app.shutdown.clone());
        tokio::select! {
            served = serving => served.map_err(ServeError::Serve),
            () = self.app.hub.tell() => Ok(()),
        }
    }
}

/// The producer that a path names: a channel is `<producer>-<env>`.
fn named(parameters: &[(String, String)]) -> Option<ProducerName> {
    let channel = &parameters.iter().find(|(key, _)| key == "channel")?.1;
    channel.parse::<Producer>().ok().map(|environment| environment.name().clone())
}
