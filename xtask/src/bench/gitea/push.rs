//! From a push at Gitea to the objects that it asks for, beyond the time that Gitea takes to deliver a webhook at all.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use lb_testkit::gitea::ADMIN;
use lb_testkit::producer::{Shape, dev, functions};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use super::store::{PREFIX, Store};
use super::{producers, roles};
use crate::bench::Bench;
use crate::bench::figure::{Limit, percentile};
use crate::bench::measure::{millis, now};
use crate::bench::push::{Commit, Forge, Prepared};
use crate::bench::roles::Roles;
use crate::bench::system::Cluster;
use crate::bench::watcher::Watcher;
use crate::say::say;

/// Producers that are pushed to, one after the other.
const PUSHED: usize = 5;
/// How long one push may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long all producers may take to be applied at first.
const FIRST: Duration = Duration::from_secs(900);
/// From one push to the next.
const PAUSE: Duration = Duration::from_millis(300);

/// Runs it.
pub(in crate::bench) async fn push(bench: &mut Bench) -> Result<()> {
    let (count, pushes) = (producers(bench.quick), if bench.quick { 10 } else { 50 });
    let directory = bench.directory.join("gitea-push");
    let store = Store::open(count).await?;
    let cluster = Cluster::start(&directory.join("cluster"), &bench.program).await?;
    let mut roles = roles(&bench.program, &directory, Some(&cluster.kubeconfig), &store.gitea)?;
    roles.start_services().await?;
    let listener = Listener::start().await?;
    let names: Vec<String> = (0..PUSHED).map(|_| lb_testkit::unique("pushed")).collect();
    let forge = forge(&directory, &names, pushes)?;
    for name in &names {
        create(&roles, &store, &listener, name).await?;
        send(&roles, &store, name, "functions", &forge.prepare(None, &format!("{name}/functions"))?).await?;
        send(&roles, &store, name, "dev", &forge.prepare(None, &format!("{name}/0"))?).await?;
    }
    let watcher = Watcher::start(cluster.client.clone()).await?;
    roles.start_actualizer()?;
    say(&format!("waiting until {} producers at Gitea are applied", count + PUSHED));
    for name in &names {
        watcher.until(&deployment(name), 1, FIRST).await?;
    }
    quiet(&cluster, &roles).await?;

    let (mut beyond, mut whole) = (Vec::new(), Vec::new());
    for index in 0..pushes {
        let (name, round) = (&names[index % PUSHED], index / PUSHED);
        let prepared = forge.prepare(Some(&format!("{name}/{round}")), &format!("{name}/{}", round + 1))?;
        let generation = watcher.generation(&deployment(name)) + 1;
        let begin = now();
        send(&roles, &store, name, "dev", &prepared).await?;
        let applied = watcher.until(&deployment(name), generation, PATIENCE).await?;
        let delivered = listener.until(&prepared.commit).await?;
        beyond.push(millis(delivered, applied));
        whole.push(millis(begin, applied));
        sleep(PAUSE).await;
    }
    let figures = &mut bench.figures;
    figures.note(
        format!("applied after Gitea's own delivery, p99 of {pushes}"),
        "ms",
        Limit::AtMost(1000.0),
        percentile(&mut beyond, 0.99),
    );
    figures.note("the same, p50", "ms", Limit::Told, percentile(&mut beyond, 0.5));
    figures.note("from the push's begin to applied, p50", "ms", Limit::Told, percentile(&mut whole, 0.5));
    figures.note("from the push's begin to applied, p99", "ms", Limit::Told, percentile(&mut whole, 0.99));
    roles.stop().await;
    for name in &names {
        let path = format!("admin/users/{PREFIX}-{name}?purge=true");
        store.api(Method::DELETE, &path, &Value::Null).await?;
    }
    Ok(())
}

/// The Deployment that a push to this producer changes last.
fn deployment(name: &str) -> String {
    format!("gateway-{name}-dev-main0")
}

fn forge(directory: &std::path::Path, names: &[String], pushes: usize) -> Result<Forge> {
    let (forge, shape) = (Forge::new(&directory.join("forge"))?, Shape::standard());
    forge.commit(names.iter().flat_map(|name| {
        let rounds = (0..=pushes.div_ceil(PUSHED)).map(move |round| Commit {
            branch: format!("{name}/{round}"),
            files: dev(name, shape, round),
            all: false,
            parent: round.checked_sub(1).map(|before| format!("{name}/{before}")),
        });
        let branch = format!("{name}/functions");
        rounds.chain([Commit { branch, files: functions(name, shape), all: true, parent: None }])
    }))?;
    Ok(forge)
}

/// Makes a producer at the configstore, and a webhook for the listener.
async fn create(roles: &Roles, store: &Store, listener: &Listener, name: &str) -> Result<()> {
    let request =
        roles.http.post(format!("{}/producers", roles.configstore.url())).json(&json!({"id": name}));
    let answer = roles.as_operator(request).send().await.with_context(|| format!("create {name}"))?;
    if !answer.status().is_success() {
        bail!("create {name}: {} {}", answer.status(), answer.text().await.unwrap_or_default());
    }
    let hook = json!({
        "type": "gitea", "active": true, "events": ["push"],
        "config": {"url": listener.url, "content_type": "json"},
    });
    store.api(Method::POST, &format!("repos/{PREFIX}-{name}/dev/hooks"), &hook).await.map(drop)
}

async fn send(roles: &Roles, store: &Store, name: &str, repository: &str, push: &Prepared) -> Result<()> {
    let url = store.gitea.clone_url(&format!("{PREFIX}-{name}"), repository);
    let token = store.gitea.admin_token().to_owned();
    push.send(&roles.http, &url, |request| request.basic_auth(ADMIN, Some(token))).await
}

/// Waits until our user asks the API server nothing for three seconds.
async fn quiet(cluster: &Cluster, roles: &Roles) -> Result<()> {
    let begin = Instant::now();
    let mut last = 0.0;
    loop {
        let runs = roles.metric(&roles.actualizer, "lunchbadger_reconciles_total", &[]).await?;
        if (runs - last).abs() < 0.5 {
            return Ok(());
        }
        if begin.elapsed() > FIRST {
            bail!("the Actualizer still works after {FIRST:?}: see {}", cluster.kubeconfig.display());
        }
        last = runs;
        sleep(Duration::from_secs(3)).await;
    }
}

/// A plain listener: when a webhook about a commit came.
struct Listener {
    url: String,
    seen: Arc<Mutex<HashMap<String, SystemTime>>>,
}

impl Listener {
    async fn start() -> Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen for webhooks")?;
        let url = format!("http://{}/", socket.local_addr().context("find the listener's port")?);
        let seen: Arc<Mutex<HashMap<String, SystemTime>>> = Arc::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                tokio::spawn(hear(stream, Arc::clone(&noted)));
            }
        });
        Ok(Self { url, seen })
    }

    async fn until(&self, commit: &str) -> Result<SystemTime> {
        let begin = Instant::now();
        loop {
            if let Some(when) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(commit) {
                return Ok(*when);
            }
            if begin.elapsed() > PATIENCE {
                bail!("Gitea delivered no webhook about {commit} within {PATIENCE:?}");
            }
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Reads one delivery (the connection's end is its end, as far as this needs to know) and answers it.
async fn hear(mut stream: TcpStream, seen: Arc<Mutex<HashMap<String, SystemTime>>>) {
    let (came, mut text) = (now(), Vec::new());
    let mut piece = vec![0; 16 << 10];
    loop {
        let Ok(count @ 1..) = stream.read(&mut piece).await else { return };
        text.extend_from_slice(&piece[..count]);
        let all = String::from_utf8_lossy(&text);
        let after = all.split_once("\"after\":").and_then(|(_, rest)| rest.split('"').nth(1));
        if let Some(commit) = after.filter(|commit| commit.len() == 40) {
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(commit.to_owned(), came);
            break;
        }
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    // Gitea notes that a delivery failed, and nobody here minds.
    let _ = stream.write_all(answer).await;
}
