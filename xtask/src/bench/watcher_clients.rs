//! Two thousand clients of the watcher, all of one environment: how soon one event reaches all of them, and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use lb_testkit::files::write_private;
use lb_testkit::process::Supervised;
use reqwest::Client;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Bench;
use super::figure::{Limit, percentile};
use super::measure::{Usage, millis, now};
use super::system::{Cluster, NAMESPACE};
use crate::say::say;

/// Clients at once.
const CLIENTS: usize = 2000;
/// Pods of the environment that they watch, so that a message has some size.
const PODS: usize = 20;
/// How long the watcher may take to be ready, and an event to reach everybody before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a client got a message that holds the text of the present round.
type Heard = (u32, SystemTime);

/// Runs it.
pub(super) async fn watcher(bench: &mut Bench) -> Result<()> {
    let rounds = if bench.quick { 5 } else { 30 };
    let directory = bench.place("watcher");
    let cluster = Cluster::start_bare(&directory.join("cluster"), &bench.program).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    for number in 0..PODS {
        create(&pods, number).await?;
    }
    let token = lb_testkit::unique_secret("operator")?;
    write_private(&directory.join("tokens"), &format!("{token},operator,operator\n"))?;
    let port = lb_testkit::free_port();
    let environment: BTreeMap<String, String> = [
        ("WATCHER_LISTEN", format!("127.0.0.1:{port}")),
        ("AUTH_TOKENS_FILE", directory.join("tokens").display().to_string()),
        ("AUTH_TOKEN_REVIEW", "off".to_owned()),
        ("ACTUALIZER_TARGET_NAMESPACE", NAMESPACE.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let arguments = ["watcher".to_owned(), format!("--kubeconfig={}", cluster.kubeconfig.display())];
    let log = directory.join("watcher.log");
    let mut process = Supervised::start(&bench.program, arguments, &environment, &log)?;
    let base = format!("http://127.0.0.1:{port}");
    ready(&base, &process).await?;
    let idle = Usage::of(process.pid()?)?;
    bench.figures.note("memory without a client", "MiB", Limit::Told, idle.resident);

    say(&format!("opening {CLIENTS} streams"));
    let (clients, mut heard) = connect(&base, &token).await?;
    let mut slowest = Vec::new();
    for round in 0..rounds {
        slowest.push(one(&pods, round, &mut heard).await?);
    }
    let usage = Usage::of(process.pid()?)?;
    let figures = &mut bench.figures;
    let what = format!("event to the last of {CLIENTS} clients, slowest of {rounds}");
    figures.note(what, "ms", Limit::AtMost(500.0), percentile(&mut slowest, 1.0));
    figures.note("the same, p50", "ms", Limit::Told, percentile(&mut slowest, 0.5));
    figures.note("memory, most", "MiB", Limit::AtMost(64.0), usage.peak);
    figures.note("CPU for one event", "ms", Limit::Told, (usage.cpu - idle.cpu) * 1000.0 / f64::from(rounds));
    drop(clients);
    process.end().await;
    Ok(())
}

/// A pod of the environment's workspace; nothing runs it.
async fn create(pods: &Api<Pod>, number: usize) -> Result<()> {
    let pod = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name(number),
            "labels": {"app": "workspace", "producer": "al", "environment": "dev"},
        },
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }));
    let pod: Pod = pod.context("make a pod")?;
    let created = pods.create(&PostParams::default(), &pod).await;
    created.map(drop).with_context(|| format!("create pod {number}"))
}

fn name(number: usize) -> String {
    format!("workspace-al-dev-{number}")
}

async fn ready(base: &str, process: &Supervised) -> Result<()> {
    let (http, begin) = (lb_testkit::http_client()?, Instant::now());
    loop {
        let answer = http.get(format!("{base}/ready")).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("the watcher is not ready after {PATIENCE:?}:\n{}", process.log_tail());
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Opens the streams, and waits until each has got the state.
async fn connect(base: &str, token: &str) -> Result<(JoinSet<()>, UnboundedReceiver<Heard>)> {
    let (told, mut heard) = unbounded_channel();
    let mut clients = JoinSet::new();
    let (url, token) = (Arc::new(format!("{base}/v2/channels/al-dev")), Arc::new(token.to_owned()));
    let http = lb_testkit::http_client()?;
    for number in 0..CLIENTS {
        let client = listen(http.clone(), Arc::clone(&url), Arc::clone(&token), told.clone());
        clients.spawn(client);
        // The system's queue of new connections is short.
        if number % 100 == 99 {
            sleep(Duration::from_millis(20)).await;
        }
    }
    drop(told);
    all(&mut heard, 0).await.context("wait for the first message of every client")?;
    Ok((clients, heard))
}

/// One client: says which round's text a message holds, 0 for none.
async fn listen(http: Client, url: Arc<String>, token: Arc<String>, told: UnboundedSender<Heard>) {
    let answer = http.get(url.as_str()).bearer_auth(token.as_str()).send().await;
    let Ok(answer) = answer.and_then(reqwest::Response::error_for_status) else { return };
    let (mut pieces, mut message) = (answer.bytes_stream(), Vec::new());
    while let Some(Ok(piece)) = pieces.next().await {
        message.extend_from_slice(&piece);
        if !message.ends_with(b"\n\n") {
            continue;
        }
        // The first thing is a comment, and so are heartbeats.
        if message.windows(5).any(|window| window == b"data:") {
            let text = String::from_utf8_lossy(&message);
            let round = text.split("\"round-").nth(1).and_then(|rest| rest.split('"').next()?.parse().ok());
            if told.send((round.unwrap_or(0), now())).is_err() {
                return;
            }
        }
        message.clear();
    }
}

/// Changes a pod; milliseconds from the request's begin until the last client has got it.
async fn one(pods: &Api<Pod>, round: u32, heard: &mut UnboundedReceiver<Heard>) -> Result<f64> {
    let number = round + 1;
    let condition = json!({"type": format!("round-{number}"), "status": "True"});
    let status = json!({"status": {"conditions": [condition]}});
    let begin = now();
    let patched = pods.patch_status(&name(0), &PatchParams::default(), &Patch::Merge(&status)).await;
    patched.context("change a pod")?;
    Ok(millis(begin, all(heard, number).await?))
}

/// When the last client has got a round's message.
async fn all(heard: &mut UnboundedReceiver<Heard>, round: u32) -> Result<SystemTime> {
    let (mut count, mut last) = (0, now());
    while count < CLIENTS {
        let next = timeout(PATIENCE, heard.recv()).await;
        let next = next.with_context(|| format!("only {count} clients got round {round}"))?;
        let (of, when) = next.with_context(|| format!("clients ended: {count} got round {round}"))?;
        if of == round {
            (count, last) = (count + 1, when);
        }
    }
    Ok(last)
}
