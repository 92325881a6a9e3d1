//! The workspace's API container: it owns the clone of `dev`, lets people edit it through two APIs, and keeps clone and git
//! host together.
//!
//! clone or fetch ([`lb_git::working`]) → `store` (one writer; a save is a pure function of the files) → APIs
//! (`project_api`, `workspace_api`) → `sync` (pushes, and takes over what others pushed) ← `follow` (somebody pushed).

mod app;
pub(crate) mod follow;
mod openapi;
pub mod project_api;
pub(crate) mod settings;
mod starter;
pub(crate) mod status;
pub(crate) mod store;
pub mod supervisor;
pub(crate) mod sync;
pub mod workspace_api;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::try_join3;
use lb_git::working::{Fetched, Person, WorkingCopy};
use lb_http::auth::{Accesses, AuthSettings, Identity, Members, Reviews, UserTokens};
use lb_http::contract::Timeouts;
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::GitApi;
use lb_http::error::ApiError;
use lb_http::metrics::Metrics;
use lb_http::route::Seam;
use lb_http::serve::{Common, Origins};
use lb_vocab::{Clock, Producer, with_causes};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use app::{App, AppRequest, AppState, Reporter, Supervisor};
pub(crate) use settings::producer;
pub use settings::{Settings, VARIABLES};

use crate::PodError;
use crate::identity::{CONFIGSTORE, GIT_API, Repository};
use openapi::Documents;
pub(crate) use starter::Changes;
use status::{Board, Started};
use store::Store;
use sync::{Complete, Nudge, Sync};
use workspace_api::{Explorer, View};

/// Tokens of users that are looked at in a second.
const REVIEWS: usize = 100;
/// An address that another process has: how often it is tried again, and after what time.
const LISTEN_TRIES: u32 = 40;
const LISTEN_PAUSE: Duration = Duration::from_millis(250);
/// While the git host is silent at the start: from one attempt to the next, up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// What handlers of both APIs share.
struct Workspace {
    producer: Producer,
    store: Store,
    view: Arc<View>,
    board: Board,
    app: App,
    explorer: Explorer,
    sync: Sync,
    members: Arc<Members>,
    metrics: Metrics,
    started: Started,
    shutdown: CancellationToken,
}

type Shared = Arc<Workspace>;

impl Workspace {
    /// Who stands as author in the commit of what somebody does; `None`: the platform itself.
    ///
    /// # Errors
    /// 503 where git-api does not say.
    async fn author(&self, who: &Identity) -> Result<Option<Person>, ApiError> {
        author(&self.members, who).await
    }
}

/// Who stands as author in the commit of what somebody does; `None`: the platform itself.
pub(crate) async fn author(members: &Members, who: &Identity) -> Result<Option<Person>, ApiError> {
    let Identity::User { login, reach: _ } = who else { return Ok(None) };
    let user = members.access(login).await?.map(|access| access.user);
    let name = |user: &lb_http::contract::git_api::User| {
        if user.full_name.trim().is_empty() { user.login.clone() } else { user.full_name.clone() }
    };
    Ok(user.map(|user| Person { name: name(&user), email: user.email }))
}

/// The workspace's API container, with its clone as it is at the git host, on its addresses and not serving yet.
pub struct Server {
    project_api: (TcpListener, axum::Router),
    workspace_api: (TcpListener, axum::Router),
    supervisor: (TcpListener, axum::Router),
    workspace: Shared,
    writer: JoinHandle<Result<(), tokio::task::JoinError>>,
    configstore: Option<Configstore>,
    documents: Documents,
    repository: Repository,
    nudge: Nudge,
}

impl Server {
    /// Takes the addresses, before the app is there to take them; opens the clone, or makes it; fetches and completes it. While
    /// the git host is silent it waits.
    ///
    /// # Errors
    /// Where the clone, an address or a token file does not do, or `shutdown` came first.
    pub async fn start(
        settings: &Settings,
        clock: &Clock,
        shutdown: CancellationToken,
    ) -> Result<Self, PodError> {
        let Settings { repository, producer, .. } = settings;
        let prepared = prepare(&settings.identity, repository, producer, sync::complete, clock);
        let begun = async { Ok::<_, PodError>((bind(settings).await?, prepared.await?)) };
        let (listeners, copy) = tokio::select! {
            begun = begun => begun?,
            () = shutdown.cancelled() => return Err(PodError::Ended),
        };
        let (board, app, nudge) = (Board::new(repository, producer), App::default(), Nudge::default());
        let remote = copy.remote().clone();
        let (store, writer) = store::open(copy, board.clone(), clock.clone());
        let sync = Sync {
            store: store.clone(),
            remote,
            board: board.clone(),
            app: app.clone(),
            nudge: nudge.clone(),
            producer: producer.clone(),
            complete: sync::complete,
            clock: clock.clone(),
            interval: settings.push_interval,
        };
        let git_api = client(
            "git-api",
            GitApi::new(repository.git_api.clone(), settings.identity.token(GIT_API), Timeouts::default()),
        )?;
        let accesses = Accesses::new(git_api.clone(), clock.clone());
        let members = Arc::new(Members::new(accesses, repository.owner.clone(), repository.name.clone()));
        let metrics = Metrics::default();
        let workspace = Arc::new(Workspace {
            producer: producer.clone(),
            view: Arc::new(View::new(&store.snapshot().tree)),
            store,
            board,
            app,
            explorer: Explorer::new(settings.app),
            sync,
            members: Arc::clone(&members),
            metrics: metrics.clone(),
            started: Started::now(clock.clone()),
            shutdown,
        });
        let seam = seam(&settings.auth, producer, git_api, members, clock)?;
        let documents = Documents::default();
        let channel = Arc::new(supervisor::Channel {
            app: workspace.app.clone(),
            store: workspace.store.clone(),
            documents: documents.clone(),
            metrics: metrics.clone(),
            shutdown: workspace.shutdown.clone(),
            session: Mutex::default(),
        });
        let origins = settings.origins.clone();
        let common = Common { seam, metrics, ready: Arc::new(Vec::new), origins };
        let [project_api, workspace_api, supervisor] =
            routers(&common, settings.url_prefix.as_deref(), &workspace, &channel);
        let [project_listener, workspace_listener, supervisor_listener] = listeners;
        let configstore = settings.configstore.clone().map(|url| {
            client(
                "the configstore",
                Configstore::new(url, settings.identity.token(CONFIGSTORE), Timeouts::default()),
            )
        });
        Ok(Self {
            project_api: (project_listener, project_api),
            workspace_api: (workspace_listener, workspace_api),
            supervisor: (supervisor_listener, supervisor),
            workspace,
            writer: tokio::spawn(writer.run()),
            configstore: configstore.transpose()?,
            documents,
            repository: repository.clone(),
            nudge,
        })
    }

    /// Where the Project API, the Workspace API and the supervisor's channel listen.
    ///
    /// # Errors
    /// Where the system does not say.
    pub fn addresses(&self) -> io::Result<[SocketAddr; 3]> {
        Ok([
            self.project_api.0.local_addr()?,
            self.workspace_api.0.local_addr()?,
            self.supervisor.0.local_addr()?,
        ])
    }

    /// The app, for its supervisor.
    #[must_use]
    pub fn app(&self) -> App {
        self.workspace.app.clone()
    }

    /// Serves until shutdown; then what was saved is pushed.
    ///
    /// # Errors
    /// Where a listener fails for good, or a part ends by itself.
    pub async fn run(self) -> Result<(), PodError> {
        let Self {
            project_api,
            workspace_api,
            supervisor,
            workspace,
            mut writer,
            configstore,
            documents,
            repository,
            nudge,
        } = self;
        let shutdown = workspace.shutdown.clone();
        tracing::info!(producer = %workspace.producer, "the workspace serves");
        let serve = |(listener, app): (TcpListener, axum::Router)| {
            lb_http::serve::run(listener, app, shutdown.clone())
        };
        let served = try_join3(serve(project_api), serve(workspace_api), serve(supervisor));
        let drained = CancellationToken::new();
        let mut sync = tokio::spawn(workspace.sync.clone().run(drained.clone()));
        let name = workspace.producer.name().clone();
        let producer = workspace.producer.clone();
        let follow = async {
            match configstore {
                Some(configstore) => tokio::select! {
                    () = documents.keep(&configstore, &producer) => {}
                    () = follow::follow(configstore.clone(), repository, name, nudge) => {}
                },
                None => std::future::pending().await,
            }
        };
        let served = tokio::select! {
            served = served => served.map(drop).map_err(PodError::Serve),
            () = follow => Err(PodError::Defect { part: "the stream of pushes" }),
            () = workspace.board.watch(&workspace.app) => Err(PodError::Defect { part: "the status" }),
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

/// Takes the addresses of the Project API, the Workspace API and the supervisor's channel.
async fn bind(settings: &Settings) -> Result<[TcpListener; 3], PodError> {
    Ok([
        listen(settings.project_api).await?,
        listen(settings.workspace_api).await?,
        listen(settings.supervisor).await?,
    ])
}

/// What answers at each of them.
fn routers(
    common: &Common,
    url_prefix: Option<&str>,
    workspace: &Shared,
    channel: &Arc<supervisor::Channel>,
) -> [axum::Router; 3] {
    let prefixes = |own: &str| [Some(own.to_owned()), url_prefix.map(str::to_owned)];
    let project_api = under(prefixes("/project-api"), &project_api::all(&common.seam, workspace));
    let workspace_api = under(prefixes("/workspace-api"), &workspace_api::all(&common.seam, workspace));
    // No browser calls it.
    let apart = Common { origins: Origins::Listed(Vec::new()), ..common.clone() };
    let supervisor = apart.wrap(supervisor::all(&apart.seam, channel));
    [common.wrap(project_api), common.wrap(workspace_api), supervisor]
}

/// The clone as it is at the git host, with what such a one always has.
pub(crate) async fn prepare(
    identity: &crate::identity::Identity,
    repository: &Repository,
    producer: &Producer,
    complete: Complete,
    clock: &Clock,
) -> Result<WorkingCopy, PodError> {
    let (mut copy, mut pause) = (identity.clone_of(repository).await?, BACKOFF.0);
    loop {
        match bring_up(&mut copy, producer, complete, clock).await {
            Ok(()) => return Ok(copy),
            Err(error) => tracing::warn!(error = with_causes(&error), "the clone is not ready"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF.1);
    }
}

async fn bring_up(
    copy: &mut WorkingCopy,
    producer: &Producer,
    complete: Complete,
    clock: &Clock,
) -> Result<(), sync::SyncError> {
    let now = clock.now();
    match copy.remote().fetch().await? {
        Fetched::At(commit) => {
            let branch = format!("refs/heads/lunchbadger/displaced/{}", status::moment(now)).parse()?;
            copy.integrate(&commit, &branch, Duration::from_secs(60), now).await?;
        }
        Fetched::Unborn => {}
        // Without the branch nobody knows what the files are.
        Fetched::NoBranch => return Err(sync::SyncError::NoBranch),
    }
    Ok(complete(copy, producer, now)?)
}

/// Users show tokens that git-api issued for this producer and environment; what they may do git-api says.
pub(crate) fn seam(
    auth: &AuthSettings,
    producer: &Producer,
    git_api: GitApi,
    members: Arc<Members>,
    clock: &Clock,
) -> Result<Seam, PodError> {
    let audience = producer.to_string();
    let tokens = UserTokens::new(git_api, &auth.issuer, &audience, clock);
    let reviews = Reviews::new(Arc::new(tokens), &audience, REVIEWS, clock.clone());
    Ok(Seam::new(auth.people()?.reviews(reviews), members))
}

/// The routes as they are, and under each prefix.
fn under(prefixes: [Option<String>; 2], routes: &axum::Router) -> axum::Router {
    let nest = |all: axum::Router, prefix: String| all.nest(&prefix, routes.clone());
    let prefixes: BTreeSet<String> = prefixes.into_iter().flatten().collect();
    prefixes.into_iter().fold(routes.clone(), nest)
}

pub(crate) fn client<T>(
    whom: &'static str,
    made: Result<T, lb_http::contract::ClientError>,
) -> Result<T, PodError> {
    made.map_err(|source| PodError::Client { whom, source })
}

/// Takes an address. One that another process has is waited for: the app may have taken it while we were away, and its
/// supervisor ends it for that.
pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, PodError> {
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(source) if source.kind() != io::ErrorKind::AddrInUse || tries == LISTEN_TRIES => {
                return Err(PodError::Listen { address, source });
            }
            Err(error) => tracing::warn!(%address, %error, "the address is waited for"),
        }
        tries += 1;
        tokio::time::sleep(LISTEN_PAUSE).await;
    }
}
