//! Starting and stopping: watches first, then leadership, then work.

use std::io;
use std::sync::{Arc, Mutex};

use lb_cluster::{Cluster, Election, Events, Leadership, LeaseSettings, Records, Scope};
use lb_desired::build::{CONFIGSTORE_AUDIENCE, GIT_API_AUDIENCE, LeafKind};
use lb_http::auth::AuthSettings;
use lb_http::contract::ClientError;
use lb_http::contract::configstore::Configstore;
use lb_http::contract::git_api::GitApi;
use lb_vocab::{Clock, Digest};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::heads::Heads;
use crate::jobs::Jobs;
use crate::judge::Blueprints;
use crate::metrics::Metrics;
use crate::pace::Pace;
use crate::producer::{Noted, Telling};
use crate::queue::Queue;
use crate::requests::Requests;
use crate::roster::Suspects;
use crate::settings::Settings;
use crate::stores::{Dispatch, Stores};
use crate::upstream::Upstream;
use crate::work::{self, Failures};
use crate::{namespace, nudge, roster, standby};

/// The lease's name, in the control plane's namespace.
const LEASE: &str = "lunchbadger-actualizer";

/// Why the Actualizer does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A URL of the settings is none.
    #[error("{name}: `{url}` is not a URL ({why})")]
    Url {
        /// The variable.
        name: &'static str,
        /// Its value.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A client could not be made.
    #[error("prepare calls to git-api and the configstore")]
    Client(#[source] ClientError),
    /// Callers of /metrics cannot be identified.
    #[error("prepare the identification of callers")]
    Auth(#[source] lb_http::auth::AuthError),
    /// The address for health and metrics cannot be used.
    #[error("listen on {address}")]
    Listen {
        /// `ACTUALIZER_ADDRESS`.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another replica leads now, or may: this process starts over as standby.
    #[error("leadership was lost; start again as standby")]
    LeadershipLost,
}

/// Runs until `shutdown`, or until leadership is lost. Standby until then: watches run, nothing is written.
///
/// # Errors
/// Where it cannot start, and where it lost leadership.
pub async fn run(
    settings: Settings,
    auth: &AuthSettings,
    cluster: Cluster,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<(), RunError> {
    let address = settings.address;
    let listener = TcpListener::bind(address).await.map_err(|source| RunError::Listen { address, source })?;
    let holder = settings.pod_name.clone().unwrap_or_else(standby::holder);
    let lease = lease(&settings, &holder);
    let (election, leadership) = Election::new(&cluster, lease, clock.clone());
    cluster.guard(leadership.clone());
    let context = Arc::new(context(settings, cluster, clock.clone(), &holder)?);
    let app = standby::app(&context, &leadership, auth, &clock).map_err(RunError::Auth)?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let served = tokio::spawn(lb_http::serve::run(listener, app, stop.clone()));
    let elected = tokio::spawn(election.run(stop.clone()));
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        ended = lead(&context, leadership, &mut tasks) => ended,
    };
    finish(&context, tasks).await;
    stop.cancel();
    drop(tokio::join!(elected, served));
    ended
}

/// Waits for the watches and for leadership, then works for as long as it leads.
async fn lead(
    context: &Arc<Context>,
    mut leadership: Leadership,
    tasks: &mut JoinSet<()>,
) -> Result<(), RunError> {
    context.stores.synced().await;
    watch_objects(context);
    context.records.synced().await;
    leadership.acquired().await;
    context.metrics.leading(true);
    namespace::open_all(context).await;
    tasks.spawn(nudge::changes::follow(context.clone()));
    tasks.spawn(roster::follow(context.clone()));
    tasks.spawn(standby::note_upstream(context.clone()));
    let failures = Arc::new(Failures::new(context.settings.retry_wait));
    for _ in 0..context.settings.workers.max(1) {
        tasks.spawn(work::work(context.clone(), failures.clone()));
    }
    leadership.lost().await;
    context.metrics.leading(false);
    Err(RunError::LeadershipLost)
}

/// Lets runs that are under way end, then ends everything else.
async fn finish(context: &Context, mut tasks: JoinSet<()>) {
    context.dispatch.queue.close();
    let drained = async {
        while context.dispatch.queue.is_busy() {
            tasks.join_next().await;
        }
    };
    if tokio::time::timeout(standby::DRAIN, drained).await.is_err() {
        tracing::warn!("runs that took too long were broken off; the next leader does them again");
    }
    tasks.shutdown().await;
}

/// Watches what children own. With a namespace for each producer Secrets are watched where one is
/// [open](crate::namespace).
fn watch_objects(context: &Context) {
    let single = context.settings.desired.target_namespace.single();
    for kind in LeafKind::ALL {
        let scope = match (single, kind) {
            (Some(namespace), _) => Scope::Namespace(namespace.to_owned()),
            (None, LeafKind::Secret) => continue,
            (
                None,
                LeafKind::ServiceAccount
                | LeafKind::NetworkPolicy
                | LeafKind::Service
                | LeafKind::Deployment
                | LeafKind::Ingress,
            ) => Scope::Everywhere,
        };
        context.records.watch(&context.cluster, kind, &scope);
    }
}

fn lease(settings: &Settings, holder: &str) -> LeaseSettings {
    let duration = settings.lease_duration;
    LeaseSettings {
        duration,
        renew_deadline: duration * 2 / 3,
        retry: duration / 8,
        ..LeaseSettings::new(settings.desired.control_plane.namespace.as_str(), LEASE, holder)
    }
}

fn context(settings: Settings, cluster: Cluster, clock: Clock, holder: &str) -> Result<Context, RunError> {
    let git = url("GIT_API_URL", &settings.git_api_url)?;
    let configstore = url("CONFIGSTORE_URL", &settings.configstore_url)?;
    let desired = Arc::new(settings.desired.clone());
    let dispatch = Arc::new(Dispatch::new(Queue::new(settings.apply_interval), desired.clone()));
    let stores = Stores::watch(&cluster, &dispatch, &desired);
    let judge = Blueprints { stores: stores.clone(), dispatch: dispatch.clone(), settings: desired };
    Ok(Context {
        // `Debug` shows no secret, and every other setting.
        settings_digest: Digest::of(format!("{:?} {:?}", settings.desired, settings.limits).as_bytes()),
        git: GitApi::new(git, settings.token(GIT_API_AUDIENCE), settings.timeouts)
            .map_err(RunError::Client)?,
        configstore: Configstore::new(configstore, settings.token(CONFIGSTORE_AUDIENCE), settings.timeouts)
            .map_err(RunError::Client)?,
        records: Records::new(Arc::new(judge)),
        stores,
        dispatch,
        heads: Heads::default(),
        suspects: Suspects::default(),
        requests: Requests::default(),
        upstream: Upstream::new(&clock),
        jobs: Jobs::new(std::thread::available_parallelism().map_or(2, std::num::NonZero::get)),
        events: Events::start(&cluster, holder),
        metrics: Metrics::new(),
        brake_lock: tokio::sync::Mutex::default(),
        braked: Mutex::default(),
        memory: Mutex::default(),
        opened: Mutex::default(),
        noted: Noted::default(),
        pace: Pace::default(),
        telling: Telling::new(settings.workers),
        settings: Arc::new(settings),
        cluster,
        clock,
    })
}

fn url(name: &'static str, text: &str) -> Result<url::Url, RunError> {
    text.parse().map_err(|error: url::ParseError| RunError::Url {
        name,
        url: text.to_owned(),
        why: error.to_string(),
    })
}
