//! The Actualizer as a process is: started, killed, started anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lb_cluster::{Cluster, Options, Target};
use lb_http::auth::AuthSettings;
use lb_http::contract::Timeouts;
use lb_testkit::faults::Log;
use lb_vocab::settings::Reader;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::world::{Side, World};

/// How long a leader that is silent goes on counting as one.
const LEASE: Duration = Duration::from_secs(1);
/// After this long it does not, whatever it did just before.
pub(crate) const TERM: Duration = Duration::from_millis(1100);
/// Reconciles at the same time.
pub(crate) const WORKERS: usize = 4;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The git user's absence before a producer is withdrawn: less than a leader's term, so that moving the clock by it ends
/// none.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// Keeps an Actualizer running until it is stopped.
pub(crate) struct Kept {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Kept {
    /// Starts one, and another whenever it ended or was killed.
    pub(crate) fn start(world: &Arc<World>, side: &Side) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(keep(world.clone(), side.clone(), stop.clone()));
        Self { stop, task }
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the Actualizer is kept");
    }
}

async fn keep(world: Arc<World>, side: Side, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let incarnation = side.gate.incarnation();
        let mut unit = Unit::start(&world, &side).await;
        tokio::select! {
            () = side.gate.passed(incarnation) => {}
            _ = &mut unit.ended => side.gate.kill(incarnation),
            () = outlast(&side, incarnation) => {}
            () = stop.cancelled() => {
                unit.shutdown.cancel();
                let _ = unit.ended.await;
                side.gate.kill(incarnation);
                unit.runtime.shutdown_background();
                return;
            }
        }
        unit.runtime.shutdown_background();
    }
}

/// One run of it.
struct Unit {
    runtime: Runtime,
    shutdown: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Unit {
    async fn start(world: &World, side: &Side) -> Self {
        let kubeconfig = world.kubeconfig(side).await;
        let [git_api, configstore] = world.services(side).await;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (shutdown, clock) = (CancellationToken::new(), side.clock.clock());
        let (told, ended) = oneshot::channel();
        let until = shutdown.clone();
        runtime.spawn(async move {
            let (settings, auth) = settings(&git_api, &configstore);
            let cluster = connect(kubeconfig).await;
            let ran = lb_actualizer::run(settings, &auth, cluster, clock, until).await;
            // Lost leadership is no failure: the next one stands by.
            drop(ran);
            let _ = told.send(());
        });
        Self { runtime, shutdown, ended }
    }
}

fn settings(git_api: &str, configstore: &str) -> (lb_actualizer::settings::Settings, AuthSettings) {
    let lease = LEASE.as_millis().to_string();
    let workers = WORKERS.to_string();
    let grace = GRACE.as_millis().to_string();
    let variables = [
        ("GIT_API_URL", git_api),
        ("CONFIGSTORE_URL", configstore),
        ("AUTH_MODE", "none"),
        ("ACTUALIZER_ADDRESS", "127.0.0.1:0"),
        ("SLEEP_TIME", "50"),
        ("ROSTER_INTERVAL", "100"),
        ("APPLY_INTERVAL", "20"),
        ("PRODUCER_GRACE", &grace),
        // Shorter than a run's own moves of the clock: runs do not add up to a mass withdrawal.
        ("BRAKE_WINDOW", "400"),
        ("LEASE_DURATION", &lease),
        ("WORKERS", &workers),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut reader = Reader::new(&variables);
    let mut settings = lb_actualizer::settings::Settings::read(&mut reader);
    let auth = AuthSettings::read(&mut reader);
    settings.retry_wait = Duration::from_millis(50);
    settings.timeouts = Timeouts { connect: PATIENCE, request: PATIENCE, ..Timeouts::default() };
    reader.finish((settings, auth)).expect("settings").0
}

async fn connect(kubeconfig: PathBuf) -> Cluster {
    let target = Target::Kubeconfig { path: kubeconfig, context: None };
    let options = Options { timeout: PATIENCE, ..Options::default() };
    Cluster::connect(&target, &options).await.expect("a client")
}

/// Moves the clock past the lease of one that was killed, whenever this one has looked at it twice in vain: the first look
/// is from when on it counts, and after the second nothing of it is under way.
async fn outlast(side: &Side, incarnation: u64) {
    let mut last = 0;
    loop {
        let waits = |log: &Log| looks(log, incarnation) >= last + 2;
        side.api.until(|log| waits(log) || looks(log, incarnation) < last).await;
        last = looks(&side.api.log(), incarnation);
        if last > 1 {
            side.clock.advance(TERM);
        }
    }
}

/// How often a lease was looked at since it was written.
fn looks(log: &Log, incarnation: u64) -> usize {
    let calls = log.calls.iter().rev().filter(|call| call.incarnation == incarnation);
    calls
        .filter(|call| call.line.contains("/leases"))
        .take_while(|call| call.line.starts_with("GET "))
        .count()
}
