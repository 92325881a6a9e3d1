//! The Actualizer as a process is: started, killed, started anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lb_cluster::{Cluster, Options, Target};
use lb_http::auth::AuthSettings;
use lb_http::contract::Timeouts;
use lb_testkit::eventually_within;
use lb_testkit::faults::Log;
use lb_testkit::process::Supervised;
use lb_vocab::Clock;
use lb_vocab::settings::Reader;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
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

/// As what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As a task, in a runtime that ends with it.
    Task,
    /// As the real program, ended by SIGKILL; it has the machine's clock.
    Program,
}

/// Keeps an Actualizer running until it is stopped.
pub(crate) struct Kept {
    stop: CancellationToken,
    signals: UnboundedSender<&'static str>,
    task: JoinHandle<()>,
}

impl Kept {
    /// Starts one, and another whenever it ended or was killed.
    pub(crate) fn start(world: &Arc<World>, side: &Side, how: How) -> Self {
        let stop = CancellationToken::new();
        let (signals, sent) = unbounded_channel();
        let task = tokio::spawn(keep(world.clone(), side.clone(), how, stop.clone(), sent));
        Self { stop, signals, task }
    }

    /// Sends a signal to it, where it is a program.
    pub(crate) fn signal(&self, signal: &'static str) {
        self.signals.send(signal).expect("the Actualizer is kept");
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the Actualizer is kept");
    }
}

async fn keep(
    world: Arc<World>,
    side: Side,
    how: How,
    stop: CancellationToken,
    mut signals: UnboundedReceiver<&'static str>,
) {
    while !stop.is_cancelled() {
        let incarnation = side.gate.incarnation();
        let mut unit = Unit::start(&world, &side, how).await;
        loop {
            tokio::select! {
                () = side.gate.passed(incarnation) => {}
                () = unit.ended() => side.gate.kill(incarnation),
                () = outlast(&side, incarnation) => {}
                () = stop.cancelled() => {
                    unit.signal("TERM");
                    unit.ended().await;
                    side.gate.kill(incarnation);
                }
                Some(signal) = signals.recv() => {
                    unit.signal(signal);
                    continue;
                }
            }
            break;
        }
        unit.kill();
    }
}

/// One run of it.
enum Unit {
    Task { runtime: Runtime, shutdown: CancellationToken, ended: oneshot::Receiver<()> },
    Program(Supervised),
}

impl Unit {
    async fn start(world: &World, side: &Side, how: How) -> Self {
        let kubeconfig = world.kubeconfig(side).await;
        let [git_api, configstore] = world.services(side).await;
        let variables = variables(&git_api, &configstore);
        match how {
            How::Task => Self::task(kubeconfig, &variables, side.clock.clock()),
            How::Program => {
                let program = Path::new(env!("CARGO_BIN_EXE_lunchbadger"));
                let arguments = ["actualizer".to_owned(), format!("--kubeconfig={}", kubeconfig.display())];
                let log = world.log();
                Self::Program(
                    Supervised::start(program, arguments, &variables, &log).expect("start lunchbadger"),
                )
            }
        }
    }

    fn task(kubeconfig: PathBuf, variables: &Variables, clock: Clock) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let (shutdown, (told, ended)) = (CancellationToken::new(), oneshot::channel());
        let until = shutdown.clone();
        let (settings, auth) = settings(variables);
        runtime.spawn(async move {
            let cluster = connect(kubeconfig).await;
            let ran = lb_actualizer::run(settings, &auth, cluster, clock, until).await;
            // Lost leadership is no failure: the next one stands by.
            drop(ran);
            let _ = told.send(());
        });
        Self::Task { runtime, shutdown, ended }
    }

    /// Waits until it has ended by itself.
    async fn ended(&mut self) {
        match self {
            // An end without a word is a panic, and an end.
            Self::Task { ended, .. } => drop(ended.await),
            Self::Program(process) => {
                let process = std::sync::Mutex::new(process);
                let ends = || {
                    let ended = process.lock().expect("no panic while it was held").ended();
                    async move { ended.map(drop).ok_or("it runs") }
                };
                eventually_within("the Actualizer ends", Duration::from_secs(3600), ends).await;
            }
        }
    }

    fn signal(&mut self, signal: &str) {
        match self {
            Self::Task { shutdown, .. } => {
                assert_eq!(signal, "TERM", "a task knows no other signal");
                shutdown.cancel();
            }
            Self::Program(process) => process.signal(signal).expect("send a signal"),
        }
    }

    fn kill(self) {
        match self {
            Self::Task { runtime, .. } => runtime.shutdown_background(),
            Self::Program(mut process) => process.kill(),
        }
    }
}

type Variables = BTreeMap<String, String>;

fn variables(git_api: &str, configstore: &str) -> Variables {
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
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn settings(variables: &Variables) -> (lb_actualizer::settings::Settings, AuthSettings) {
    let mut reader = Reader::new(variables);
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
