//! The sls-api's container: it owns the clone of `functions`, lets people edit its services, and keeps clone and git host
//! together as the workspace does, by the same parts: `store` (one writer), `sync` and `follow` of [`crate::workspace`].

mod routes;
mod service;
mod settings;
mod templates;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use lb_git::working::{WorkingCopy, WorkingError};
use lb_http::auth::{Accesses, Members};
use lb_http::contract::Timeouts;
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::GitApi;
use lb_http::metrics::Metrics;
use lb_http::serve::Common;
use lb_vocab::{Clock, Producer, Timestamp};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use routes::ROUTES;
pub use settings::{Settings, VARIABLES};

use crate::PodError;
use crate::identity::{CONFIGSTORE, GIT_API, Repository};
use crate::workspace::follow::follow;
use crate::workspace::status::Board;
use crate::workspace::store::{self, Store};
use crate::workspace::sync::{Nudge, Sync};
use crate::workspace::{self, App};

/// What handlers share.
struct SlsApi {
    producer: Producer,
    namespace: String,
    store: Store,
    members: Arc<Members>,
    clock: Clock,
    started: Timestamp,
}

type Shared = Arc<SlsApi>;

/// The sls-api's container, with its clone as it is at the git host, on its address and not serving yet.
pub struct Server {
    listener: TcpListener,
    routes: axum::Router,
    sync: Sync,
    writer: JoinHandle<Result<(), tokio::task::JoinError>>,
    configstore: Option<Configstore>,
    repository: Repository,
    shutdown: CancellationToken,
}

impl Server {
    /// Opens the clone, or makes it; fetches, and takes the address. While the git host is silent it waits.
    ///
    /// # Errors
    /// Where the clone, the address or a token file does not do, or `shutdown` came first.
    pub async fn start(
        settings: &Settings,
        clock: &Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, PodError> {
        let Settings { repository, producer, identity, .. } = settings;
        let prepared = workspace::prepare(identity, repository, producer, nothing, clock);
        let copy = tokio::select! {
            copy = prepared => copy?,
            () = shutdown.cancelled() => return Err(PodError::Ended),
        };
        let board = Board::new(repository, producer);
        let remote = copy.remote().clone();
        let (store, writer) = store::open(copy, board.clone(), clock.clone());
        let sync = Sync {
            store: store.clone(),
            remote,
            board,
            // Nothing runs beside it.
            app: App::default(),
            nudge: Nudge::default(),
            producer: producer.clone(),
            complete: nothing,
            clock: clock.clone(),
            interval: settings.push_interval,
        };
        let git_api = GitApi::new(repository.git_api.clone(), identity.token(GIT_API), Timeouts::default());
        let git_api = workspace::client("git-api", git_api)?;
        let accesses = Accesses::new(git_api.clone(), clock.clone());
        let members = Arc::new(Members::new(accesses, repository.owner.clone(), repository.name.clone()));
        let app = Arc::new(SlsApi {
            producer: producer.clone(),
            namespace: settings.namespace.clone(),
            store,
            members: Arc::clone(&members),
            clock: clock.clone(),
            started: clock.now(),
        });
        let seam = workspace::seam(&settings.auth, producer, git_api, members, clock)?;
        let routes = routes::all(&seam, &app);
        let (metrics, origins) = (Metrics::default(), settings.origins.clone());
        let common = Common { seam, metrics, ready: Arc::new(Vec::new), origins };
        let configstore = settings.configstore.clone().map(|url| {
            let made = Configstore::new(url, identity.token(CONFIGSTORE), Timeouts::default());
            workspace::client("the configstore", made)
        });
        Ok(Self {
            listener: workspace::listen(settings.listen).await?,
            routes: common.wrap_but_ping(routes),
            sync,
            writer: tokio::spawn(writer.run()),
            configstore: configstore.transpose()?,
            repository: repository.clone(),
            shutdown,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown; then what was saved is pushed.
    ///
    /// # Errors
    /// Where the listener fails for good, or a part ends by itself.
    pub async fn run(self) -> Result<(), PodError> {
        let Self { listener, routes, sync, mut writer, configstore, repository, shutdown } = self;
        let (nudge, name) = (sync.nudge.clone(), sync.producer.name().clone());
        tracing::info!(producer = %sync.producer, "the sls-api serves");
        let serving = lb_http::serve::run(listener, routes, shutdown.clone());
        let drained = CancellationToken::new();
        let mut sync = tokio::spawn(sync.run(drained.clone()));
        let follow = async {
            match configstore {
                Some(configstore) => follow(configstore, repository, name, nudge).await,
                None => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = serving => served.map_err(PodError::Serve),
            () = follow => Err(PodError::Defect { part: "the stream of pushes" }),
            _ = &mut writer => Err(PodError::Defect { part: "the writer" }),
            _ = &mut sync => Err(PodError::Defect { part: "the exchange with the git host" }),
        };
        shutdown.cancel();
        drained.cancel();
        if !sync.is_finished() {
            sync.await.map_err(|_| PodError::Defect { part: "the exchange with the git host" })?;
        }
        // Connections that linger may still hold the store: the clone is free when this returns.
        if !writer.is_finished() {
            writer.abort();
            let _aborted = writer.await;
        }
        served
    }
}

/// A repository of functions may be empty.
fn nothing(_: &mut WorkingCopy, _: &Producer, _: Timestamp) -> Result<(), WorkingError> {
    Ok(())
}
