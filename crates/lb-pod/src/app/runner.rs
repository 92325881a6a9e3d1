//! Runs the app: one thing at a time, begun by an order, an end, or a time that is up.

use std::collections::BTreeSet;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use lb_http::contract::supervisor::{Order, Report};
use lb_vocab::{CommitId, SafePath, with_causes};
use tokio::process::{Child, Command};
use tokio::task::block_in_place;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::dependencies::{LOCKS, PACKAGE, Wanted};
use super::files::Files;
use super::link::{Desk, LinkError};
use super::output::{Output, piped};
use super::processes::Processes;
use super::{Settings, openapi};
use crate::PodError;

/// From the last change to the app's restart.
const DEBOUNCE: Duration = Duration::from_millis(750);
/// Changes that go on and on are waited for no longer than this.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the app.
const LOOK: Duration = Duration::from_millis(500);
/// An app that does not listen after this time is told.
const SILENCE: Duration = Duration::from_secs(60);
/// What an app that is asked to end gets.
const GRACE: Duration = Duration::from_secs(3);
/// An app that ran this long begins anew with the first pause.
const STEADY: Duration = Duration::from_secs(60);
/// From an end to the next start: twice as long each time, up to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// npm at most.
const INSTALL: Duration = Duration::from_mins(10);
/// Processes of one app.
const MAX_PROCESSES: usize = 256;
/// From one attempt to have the app's document to the next, and how many of them.
const DOCUMENT: (Duration, u32) = (Duration::from_secs(2), 15);
/// The file that says what is installed, among the packages.
const MARK: &str = ".lunchbadger";
/// The project file, of which the app knows nothing.
const PROJECT: &str = "lunchbadger.json";

/// Runs the app.
pub(super) struct Runner {
    settings: Settings,
    files: Files,
    processes: Processes,
    desk: Desk,
    http: reqwest::Client,
    /// What was asked for and not done.
    asked: Asked,
    /// The commit that the files are those of.
    commit: Option<CommitId>,
    wanted: Wanted,
    app: Option<Running>,
    /// When the app is started without being asked for.
    again: Option<Instant>,
    pause: Duration,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    files: bool,
    restart: bool,
    reinstall: bool,
    /// Since when, and when it is done.
    since: Option<Instant>,
    due: Option<Instant>,
}

/// The app's process.
struct Running {
    child: Child,
    id: u32,
    output: Output,
    since: Instant,
    listens: bool,
    /// When its document is asked for next, and how often.
    document: Option<(Instant, u32)>,
}

/// Why something was not done.
enum Failure {
    /// We are told to end.
    Ending,
    /// The API container is away: what was asked for stays asked.
    Away(LinkError),
    /// It is told as the app's output.
    Told(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Told(with_causes(&error))
    }
}

impl Runner {
    pub(super) fn new(settings: Settings, files: Files, processes: Processes, desk: Desk) -> Self {
        Self {
            settings,
            files,
            processes,
            desk,
            // The app is asked, and nobody that it names.
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .tls_certs_only([])
                .build()
                .unwrap_or_default(),
            asked: Asked::default(),
            commit: None,
            wanted: Wanted::default(),
            app: None,
            again: None,
            pause: BACKOFF.0,
        }
    }

    /// Runs until `shutdown`.
    pub(super) async fn run(mut self, shutdown: &CancellationToken) -> Result<(), PodError> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (due, again) = (self.asked.due, self.again);
            tokio::select! {
                () = shutdown.cancelled() => break,
                order = self.desk.order() => match order {
                    Some(order) => self.note(&order),
                    None => return Err(PodError::Defect { part: "the channel to the API container" }),
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let done = self.act(shutdown).await;
                    self.settle(done).await;
                }
                () = sleep_until(again.unwrap_or_else(Instant::now)), if again.is_some() && due.is_none() => {
                    let done = self.begin(shutdown).await;
                    self.settle(done).await;
                }
                status = ended(&mut self.app) => self.crashed(status).await,
                _ = looks.tick() => self.look().await,
            }
        }
        self.stop().await;
        Ok(())
    }

    fn note(&mut self, order: &Order) {
        let asked = &mut self.asked;
        match order {
            Order::Session { id: _ } => return,
            Order::Files { commit } if self.commit.as_ref() == Some(commit) => return,
            Order::Files { commit: _ } => asked.files = true,
            Order::Restart => asked.restart = true,
            Order::Reinstall => asked.reinstall = true,
        }
        let now = Instant::now();
        let since = *asked.since.get_or_insert(now);
        // The first files of all are waited for by people.
        let pause = if self.commit.is_none() { Duration::ZERO } else { DEBOUNCE };
        asked.due = Some((now + pause).min(since + PATIENCE));
    }

    /// Does what was asked for.
    async fn act(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let asked = std::mem::take(&mut self.asked);
        let changed = match self.pull().await {
            Ok(changed) => changed,
            Err(failure) => {
                if matches!(failure, Failure::Away(_)) {
                    self.asked = Asked { due: Some(Instant::now() + DEBOUNCE), ..asked };
                }
                return Err(failure);
            }
        };
        if asked.reinstall {
            self.stop().await;
            block_in_place(|| self.files.remove_packages())?;
        }
        let restart = asked.restart || asked.reinstall || changed || self.lacks_packages();
        if restart || self.app.is_none() {
            self.pause = BACKOFF.0;
            self.begin(shutdown).await?;
        }
        Ok(())
    }

    /// Writes the files as they are now; answers whether one changed that the app reads.
    async fn pull(&mut self) -> Result<bool, Failure> {
        let mut incoming = self.desk.files().await.map_err(Failure::Away)?;
        let (mut present, mut changed, mut unwritten) = (BTreeSet::new(), false, Vec::new());
        let (mut package, mut locks) = (None, Vec::new());
        while let Some((path, content)) =
            incoming.next().await.map_err(|error| Failure::Away(error.into()))?
        {
            if path.as_str() == PACKAGE {
                package = Some(content.clone());
            } else if LOCKS.contains(&path.as_str()) {
                locks.push(content.clone());
            }
            match block_in_place(|| self.files.write(&path, &content)) {
                Ok(written) => changed |= written && is_read_by_app(&path),
                Err(error) => unwritten.push(format!("{path}: {error}")),
            }
            present.insert(path);
        }
        for path in self.files.gone(|path| present.contains(path)) {
            changed |= is_read_by_app(&path);
            if let Err(error) = self.files.remove(&path) {
                unwritten.push(format!("{path}: {error}"));
            }
        }
        self.commit = incoming.commit().cloned();
        self.wanted = Wanted::of(package.as_deref(), locks);
        tracing::info!(commit = ?self.commit, changed, "the files are here");
        if unwritten.is_empty() {
            return Ok(changed);
        }
        unwritten.truncate(20);
        Err(Failure::Told(format!("files of the project cannot be written:\n{}", unwritten.join("\n"))))
    }

    fn lacks_packages(&self) -> bool {
        self.files.read_mark(MARK).as_ref() != Some(&self.wanted.mark())
    }

    /// Ends the app where it runs, installs what it lacks, and starts it.
    async fn begin(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        self.again = None;
        self.stop().await;
        self.install(shutdown).await?;
        let mut command = self.command("node");
        command.arg(".");
        let mut child = self
            .processes
            .start(piped(&mut command))
            .map_err(|error| Failure::Told(format!("node cannot be started: {error}")))?;
        self.desk.report(Report::Starting);
        let (id, now) = (child.id().unwrap_or_default(), Instant::now());
        let output = Output::of(&mut child);
        self.app = Some(Running { child, id, output, since: now, listens: false, document: None });
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the environment is cleared: the app gets its own alone")]
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.settings.directory).env_clear().envs(self.settings.environment());
        command
    }

    /// Installs what the app lacks: packages that many apps need are copied, npm does the rest.
    async fn install(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        if !self.lacks_packages() {
            return Ok(());
        }
        let fresh = !self.files.has_packages();
        if self.wanted.is_nothing() && fresh {
            return Ok(());
        }
        self.desk.report(Report::Installing);
        let mut complete = false;
        let kept = self.settings.dependencies.join("node_modules");
        if fresh && kept.is_dir() {
            block_in_place(|| self.files.copy_packages(&kept))?;
            complete = self.wanted.covered_by(&self.settings.dependencies);
        }
        if !complete {
            self.npm(shutdown).await?;
        }
        // A project without dependencies may have no directory for the mark.
        let _unmarked = self.files.write_mark(MARK, &self.wanted.mark());
        Ok(())
    }

    async fn npm(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        let mut command = self.command("npm");
        command.args(["install", "--prefer-offline", "--no-audit", "--no-fund", "--no-progress"]);
        command.env("npm_config_update_notifier", "false");
        // Beside the packages: there is room, and it goes with them.
        command.env("npm_config_cache", self.settings.directory.join("node_modules/.cache/npm"));
        let started = self.processes.start(piped(&mut command));
        let mut child = started.map_err(|error| Failure::Told(format!("npm cannot be started: {error}")))?;
        let (id, mut output) = (child.id().unwrap_or_default(), Output::of(&mut child));
        let (end, mut looks) = (Instant::now() + INSTALL, interval(LOOK));
        let why = loop {
            tokio::select! {
                status = child.wait() => match status {
                    Ok(status) if status.success() => break None,
                    Ok(status) => break Some(status.to_string()),
                    Err(error) => break Some(error.to_string()),
                },
                () = shutdown.cancelled() => {
                    self.processes.end_all().await;
                    return Err(Failure::Ending);
                }
                () = sleep_until(end) => break Some(format!("it took longer than {} s", INSTALL.as_secs())),
                _ = looks.tick() => {
                    self.processes.reap();
                    if let Some(breach) = self.breach() {
                        break Some(breach);
                    }
                }
            }
        };
        // Whatever an install script left running.
        self.processes.end_all().await;
        let _waited = child.wait().await;
        self.processes.ended(id);
        match why {
            None => Ok(()),
            Some(why) => Err(Failure::Told(format!("{}\nnpm install failed: {why}", output.rest().await))),
        }
    }

    /// What the app does that it must not.
    fn breach(&self) -> Option<String> {
        if let Some(port) = self.processes.listens_on(&self.settings.reserved) {
            return Some(format!(
                "the app listens on port {port}, which is the workspace's own: it was ended"
            ));
        }
        let count = self.processes.count();
        (count > MAX_PROCESSES)
            .then(|| format!("the app has {count} processes, {MAX_PROCESSES} are allowed: they were ended"))
    }

    /// Looks after the app.
    async fn look(&mut self) {
        self.processes.reap();
        if let Some(breach) = self.breach() {
            let output = self.output().await;
            self.fail(&output, &breach);
            return;
        }
        let port = self.settings.port;
        let Some(app) = &mut self.app else { return };
        if !app.listens {
            let connected = timeout(LOOK, tokio::net::TcpStream::connect(("127.0.0.1", port))).await;
            app.listens = matches!(connected, Ok(Ok(_)));
            if app.listens {
                app.document = Some((Instant::now(), 0));
                self.desk.report(Report::Running);
            } else if app.since.elapsed() > SILENCE {
                let silence = SILENCE.as_secs();
                let output = format!(
                    "{}\nthe app runs and does not listen on port {port}, since {silence} s and more",
                    app.output.now()
                );
                self.desk.report(Report::Crashed { output });
            }
        }
        self.show_document().await;
    }

    /// Asks the app for its OpenAPI document, until it has been handed over.
    async fn show_document(&mut self) {
        let Some(Running { document, .. }) = &mut self.app else { return };
        let Some((at, tries)) = document.take_if(|(at, _)| *at <= Instant::now()) else { return };
        let shown = match (openapi::fetch(&self.http, self.settings.port).await, &self.commit) {
            (Some(text), Some(commit)) => self.desk.document(commit, text).await.is_ok(),
            _ => false,
        };
        if !shown && tries < DOCUMENT.1 {
            *document = Some((at.max(Instant::now()) + DOCUMENT.0, tries + 1));
        }
    }

    /// Ends everything, and answers what was printed last.
    async fn output(&mut self) -> String {
        self.processes.end_all().await;
        let Some(mut app) = self.app.take() else { return String::new() };
        let _status = app.child.wait().await;
        self.processes.ended(app.id);
        app.output.rest().await
    }

    /// The app ended by itself.
    async fn crashed(&mut self, status: io::Result<ExitStatus>) {
        if self.app.as_ref().is_some_and(|app| app.since.elapsed() > STEADY) {
            self.pause = BACKOFF.0;
        }
        let output = self.output().await;
        let why = match status {
            Ok(status) => format!("the app ended ({status})"),
            Err(error) => format!("the app cannot be waited for: {error}"),
        };
        self.fail(&output, &why);
    }

    /// Tells why the app does not run, and has it started later.
    fn fail(&mut self, output: &str, why: &str) {
        let pause = self.pause;
        tracing::warn!(why = why.lines().last(), ?pause, "the app does not run");
        let output = format!("{output}\n{why}; it is started again in {} s", pause.as_secs());
        self.desk.report(Report::Crashed { output: output.trim_start().to_owned() });
        self.again = Some(Instant::now() + pause);
        self.pause = (pause * 2).min(BACKOFF.1);
    }

    async fn settle(&mut self, done: Result<(), Failure>) {
        match done {
            Ok(()) | Err(Failure::Ending) => {}
            Err(Failure::Away(error)) => {
                tracing::warn!(error = with_causes(&error), "the files cannot be had");
            }
            Err(Failure::Told(why)) => {
                let output = self.output().await;
                self.fail(&output, &why);
            }
        }
    }

    /// Ends the app in order where it can be, and everything that it started.
    async fn stop(&mut self) {
        if let Some(mut app) = self.app.take() {
            self.processes.ask(app.id);
            let _late = timeout(GRACE, app.child.wait()).await;
            self.processes.end_all().await;
            let _status = app.child.wait().await;
            self.processes.ended(app.id);
        }
        self.processes.end_all().await;
    }
}

/// The app's end, as long as it runs.
async fn ended(app: &mut Option<Running>) -> io::Result<ExitStatus> {
    match app {
        Some(app) => app.child.wait().await,
        None => std::future::pending().await,
    }
}

/// Whether the app is to be started anew where this file changes: what npm reads is looked at by itself.
fn is_read_by_app(path: &SafePath) -> bool {
    path.as_str() != PROJECT && path.as_str() != PACKAGE && !LOCKS.contains(&path.as_str())
}
