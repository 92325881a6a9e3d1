//! The Workspace API of a real pod's container beside the npm package whose API it is: the same project, the same requests, in
//! turn, and the same answers.

mod answers;
mod connection;
mod load;
mod ours;
mod project;
mod theirs;

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::time::sleep;

use super::Bench;
use super::figure::{Limit, percentile};
use crate::say::say;
use crate::tools;
use load::{Kind, Side};
use ours::{Host, Pod, Workspace};
use theirs::Package;

/// Models of the project that both serve.
const MODELS: usize = 100;
/// Models of the large one, which no producer has without the operator's override.
const MANY: usize = 2000;
/// What is measured side by side, and how many times the package's rate ours is to be.
const KINDS: [(Kind, f64); 3] = [(Kind::Everything, 100.0), (Kind::One, 300.0), (Kind::Save, 10.0)];
/// From ready to where nothing is done any more.
const SETTLED: Duration = Duration::from_secs(3);

/// Runs it.
pub(super) async fn workspace_api(bench: &mut Bench) -> Result<()> {
    let package = tools::loopback_workspace()?;
    let directory = bench.place("workspace-api");
    let mut host = Host::start(bench, &directory).await?;
    let package = Package::start(&package, &directory.join("package"), &project::files("al", MODELS)).await?;
    beside(bench, &host, package).await?;
    large(bench, &host).await?;
    host.stop().await;
    Ok(())
}

/// Both serve the same.
async fn beside(bench: &mut Bench, host: &Host, package: Package) -> Result<()> {
    let workspace = host.workspace("al", &project::files("al", MODELS)).await?;
    let pod = started(bench, &workspace, MODELS).await?;
    sleep(SETTLED).await;
    let idle = pod.usage()?.resident;
    let mut ours = Side::new(pod.address, Some(host.token("al").await?), MODELS);
    let theirs = Side::new(package.address, None, MODELS);
    bench.figures.note("API container's memory, idle", "MiB", Limit::AtMost(15.0), idle);

    let (warm, measured) = if bench.quick { (3, 10) } else { (10, 60) };
    let [warm, measured] = [warm, measured].map(Duration::from_secs);
    let mut differing = answers::differing(&ours, &theirs, 0).await?;
    for (round, (kind, least)) in KINDS.into_iter().enumerate() {
        say(&format!("asking both for {}, 4 in flight", kind.text()));
        // A token holds for ten minutes.
        ours.token = Some(host.token("al").await?);
        let mut rates = Vec::new();
        for side in [&ours, &theirs] {
            load::run(side, kind, warm).await?;
            rates.push(load::run(side, kind, measured).await?.len() as f64 / measured.as_secs_f64());
        }
        let (figures, what) = (&mut bench.figures, kind.text());
        figures.note(format!("{what}, ours"), "/s", Limit::Told, rates[0]);
        figures.note(format!("{what}, the package's"), "/s", Limit::Told, rates[1]);
        figures.note(
            format!("{what}, ours to the package's"),
            "",
            Limit::AtLeast(least),
            rates[0] / rates[1],
        );
        differing += answers::differing(&ours, &theirs, round + 1).await?;
    }
    bench.figures.note("answers that are not the package's", "", Limit::Exactly(0.0), differing as f64);
    sleep(SETTLED).await;
    bench.figures.note("memory after it, ours", "MiB", Limit::Told, pod.usage()?.resident);
    bench.figures.note("memory after it, the package's", "MiB", Limit::Told, package.usage()?.resident);
    package.stop().await;
    pod.stop().await;
    let missing = ours.saves() as f64 - host.commits("al").await? as f64;
    bench.figures.note("saves that are no commit at the git host", "", Limit::Exactly(0.0), missing);
    Ok(())
}

/// Starts a workspace a few times upon its clone; the last one stays.
async fn started(bench: &mut Bench, workspace: &Workspace, models: usize) -> Result<Pod> {
    let starts = if bench.quick { 3 } else { 10 };
    let (mut took, mut last) = (Vec::new(), None);
    for _ in 0..starts {
        if let Some(pod) = last.take() {
            Pod::stop(pod).await;
        }
        let (pod, milliseconds) = workspace.start().await?;
        took.push(milliseconds);
        last = Some(pod);
    }
    let what = format!("ready after the clone, {models} models, slowest of {starts}");
    bench.figures.note(what, "ms", Limit::AtMost(200.0), percentile(&mut took, 1.0));
    bench.figures.note("the same, p50", "ms", Limit::Told, percentile(&mut took, 0.5));
    last.context("a workspace was not started")
}

/// A project that is twenty times as large, ours alone.
async fn large(bench: &mut Bench, host: &Host) -> Result<()> {
    let workspace = host.workspace("big", &project::files("big", MANY)).await?;
    let pod = started(bench, &workspace, MANY).await?;
    let side = Side::new(pod.address, Some(host.token("big").await?), MANY);
    let measured = Duration::from_secs(if bench.quick { 5 } else { 30 });
    for kind in [Kind::Everything, Kind::One, Kind::Save, Kind::Configure, Kind::Mixed] {
        say(&format!("{MANY} models: asking for {}, 4 in flight", kind.text()));
        let mut took = load::run(&side, kind, measured).await?;
        let what = format!("{MANY} models, {}, slowest of {}", kind.text(), took.len());
        bench.figures.note(what, "ms", Limit::AtMost(250.0), percentile(&mut took, 1.0));
        bench.figures.note("the same, p50", "ms", Limit::Told, percentile(&mut took, 0.5));
    }
    bench.figures.note(format!("memory, {MANY} models"), "MiB", Limit::Told, pod.usage()?.resident);
    pod.stop().await;
    Ok(())
}
