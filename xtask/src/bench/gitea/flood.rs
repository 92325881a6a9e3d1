//! Webhooks that nobody signed, thousands a second, and a genuine push among them.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use lb_testkit::gitea::ADMIN;
use lb_testkit::process::bare;
use lb_testkit::producer::{Shape, dev};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::store::{PREFIX, Store};
use super::{producers, roles};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::measure::{Usage, cores, millis, now};
use crate::bench::push::{Commit, Forge};
use crate::bench::roles::Roles;
use crate::say::say;

/// Connections that are kept.
const CONNECTIONS: u64 = 64;
/// Requests a second that are offered: a quarter more than what has to be withstood.
const RATE: u64 = 4000;
/// From one genuine push to the next.
const PAUSE: Duration = Duration::from_millis(900);
/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(50);

/// Runs it.
pub(in crate::bench) async fn flood(bench: &mut Bench) -> Result<()> {
    let seconds = if bench.quick { 6 } else { 20 };
    let directory = bench.directory.join("hook-flood");
    let store = Store::open(producers(bench.quick)).await?;
    let mut roles = roles(&bench.program, &directory, None, &store.gitea)?;
    roles.start_services().await?;
    let name = lb_testkit::unique("flooded");
    create(&roles, &name).await?;
    let forge = Forge::new(&directory.join("forge"))?;
    forge.commit((0..=seconds as usize * 2).map(|round| Commit {
        branch: round.to_string(),
        files: dev(&name, Shape::standard(), round),
        all: false,
        parent: round.checked_sub(1).map(|before| before.to_string()),
    }))?;
    let pushes = Pushes { roles: &roles, store: &store, forge: &forge, name: &name };
    let stream = Announced::follow(&roles).await?;
    let idle = pushes.one(&stream, 0).await?;
    bench.figures.note("push to announced before the flood", "ms", Limit::Told, idle);

    let configstore = roles.configstore.pid()?;
    let (before, peak) = (Usage::of(configstore)?, Arc::new(Mutex::new(0.0_f64)));
    let sampler = sample(configstore, Arc::clone(&peak));
    let begin = Instant::now();
    say(&format!("flooding for {seconds} s"));
    let load = tokio::task::spawn_blocking({
        let (address, path) = (roles.configstore.url(), format!("/hook?repository={PREFIX}-{name}/dev"));
        move || generate(address.trim_start_matches("http://"), &path, seconds)
    });
    let mut announced = Vec::new();
    while begin.elapsed() + PAUSE < Duration::from_secs(seconds) {
        sleep(PAUSE).await;
        announced.push(pushes.one(&stream, announced.len() + 1).await?);
    }
    let said = load.await.context("wait for the load generator")??;
    sampler.abort();
    let after = Usage::of(configstore)?;
    let most = peak.lock().unwrap_or_else(PoisonError::into_inner).max(after.resident);
    let count = |what: &str| said[what].as_f64().unwrap_or_default();
    let figures = &mut bench.figures;
    figures.note(
        "forged and oversized hooks offered",
        "/s",
        Limit::AtLeast(3000.0),
        count("sent") / count("seconds"),
    );
    figures.note("of them accepted", "", Limit::Exactly(0.0), count("accepted"));
    figures.note("of them refused", "/s", Limit::Told, count("refused") / count("seconds"));
    figures.note("of them cut off", "", Limit::Told, count("cut"));
    figures.note(
        "configstore's memory, most during it less before",
        "MiB",
        Limit::AtMost(8.0),
        most - before.resident,
    );
    figures.note("configstore's CPU during it", "s", Limit::Told, after.cpu - before.cpu);
    let what = format!("push to announced meanwhile, slowest of {}", announced.len());
    figures.note(what, "ms", Limit::AtMost(1000.0), percentile(&mut announced, 1.0));
    figures.note("the same, p50", "ms", Limit::Told, percentile(&mut announced, 0.5));
    drop(stream);
    roles.stop().await;
    store
        .api(Method::DELETE, &format!("admin/users/{PREFIX}-{name}?purge=true"), &Value::Null)
        .await
        .map(drop)
}

async fn create(roles: &Roles, name: &str) -> Result<()> {
    let request =
        roles.http.post(format!("{}/producers", roles.configstore.url())).json(&json!({"id": name}));
    let answer = roles.as_operator(request).send().await.with_context(|| format!("create {name}"))?;
    answer.error_for_status().map(drop).with_context(|| format!("create {name}"))
}

/// Runs the load generator as a process on one core and answers what it says.
fn generate(address: &str, path: &str, seconds: u64) -> Result<Value> {
    let program = std::env::current_exe().context("find this program")?;
    let mut command = match lb_testkit::tools::in_path("taskset") {
        Some(taskset) => {
            let mut command = bare(&taskset);
            command.arg("--cpu-list").arg((cores() - 1).to_string()).arg(&program);
            command
        }
        // It has one thread, so that it takes one core's worth in any case.
        None => bare(&program),
    };
    command.args(["bench-load", "--address", address, "--path", path]);
    command.args(["--connections", &CONNECTIONS.to_string(), "--rate", &RATE.to_string()]);
    command.args(["--seconds", &seconds.to_string()]).stderr(Stdio::inherit());
    let output = command.output().context("start the load generator")?;
    if !output.status.success() {
        bail!("the load generator failed ({})", output.status);
    }
    serde_json::from_slice(&output.stdout).context("read what the load generator says")
}

/// Notes the most memory that a process has.
fn sample(pid: u32, peak: Arc<Mutex<f64>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok(usage) = Usage::of(pid) {
            {
                let mut most = peak.lock().unwrap_or_else(PoisonError::into_inner);
                *most = most.max(usage.resident);
            }
            sleep(SAMPLE).await;
        }
    })
}

/// Genuine pushes.
struct Pushes<'a> {
    roles: &'a Roles,
    store: &'a Store,
    forge: &'a Forge,
    name: &'a str,
}

impl Pushes<'_> {
    /// Pushes at Gitea; milliseconds from the push's begin until git-api announces it.
    async fn one(&self, stream: &Announced, round: usize) -> Result<f64> {
        let before = round.checked_sub(1).map(|before| before.to_string());
        let push = self.forge.prepare(before.as_deref(), &round.to_string())?;
        let url = self.store.gitea.clone_url(&format!("{PREFIX}-{}", self.name), "dev");
        let (begin, token) = (now(), self.store.gitea.admin_token().to_owned());
        push.send(&self.roles.http, &url, |request| request.basic_auth(ADMIN, Some(token))).await?;
        Ok(millis(begin, stream.until(&push.commit).await?))
    }
}

/// The change stream of git-api, as somebody hears it who does not sweep.
struct Announced {
    heard: Arc<Mutex<Vec<(SystemTime, String)>>>,
    task: JoinHandle<()>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Announced {
    async fn follow(roles: &Roles) -> Result<Self> {
        let request =
            roles.http.get(format!("{}/changes", roles.git_api.url())).header("accept", "text/event-stream");
        let answer = roles.as_operator(request).send().await.and_then(reqwest::Response::error_for_status);
        let mut pieces = answer.context("follow the changes at git-api")?.bytes_stream();
        let heard: Arc<Mutex<Vec<(SystemTime, String)>>> = Arc::default();
        let noted = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Some(Ok(piece)) = pieces.next().await {
                let text = String::from_utf8_lossy(&piece).into_owned();
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((now(), text));
            }
        });
        Ok(Self { heard, task })
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Vec<(SystemTime, String)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a commit was announced first.
    async fn until(&self, commit: &str) -> Result<SystemTime> {
        let begin = Instant::now();
        loop {
            if let Some((when, _)) = self.heard().iter().find(|(_, text)| text.contains(commit)) {
                return Ok(*when);
            }
            if begin.elapsed() > Duration::from_secs(60) {
                bail!("{commit} was not announced within a minute");
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}
