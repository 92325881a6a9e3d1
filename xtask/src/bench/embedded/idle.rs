//! Nothing changes: what is asked and what is burnt all the same.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use super::World;
use super::opened::Opened;
use crate::bench::Bench;
use crate::bench::figure::Limit;
use crate::bench::system::{NAMESPACE, timestamp};
use crate::say::say;

/// The Actualizer's default `SLEEP_TIME`: from one sweep to the next, seconds.
const SWEEP: f64 = 1.0;

/// Pods that are made ready at once.
const AT_ONCE: usize = 32;

/// Does what kubelets would, waits for the controllers to be done, then measures. Pods that never become ready make
/// their Deployments fail after ten minutes, which is no idleness.
pub(in crate::bench) async fn idle(bench: &mut Bench, world: &World) -> Result<()> {
    let time = Duration::from_secs(if bench.quick { 10 } else { 600 });
    pods_ready(world).await?;
    settle(world).await?;
    let (since, before) = (timestamp(), world.roles.usage()?);
    let requests = world.roles.requests_at_git_api().await?;
    let opened = Opened::watch(world.population.repositories())?;
    say(&format!("idle for {} s", time.as_secs()));
    sleep(time).await;
    let requests = world.roles.requests_at_git_api().await? - requests;
    let cpu = world.roles.usage()?.cpu - before.cpu;
    let opened = opened.count()? as f64;
    let asked = world.cluster.audit(&since)?;
    let asked = asked.iter().filter(|asked| asked.verb != "watch").count() as f64;
    let figures = &mut bench.figures;
    figures.note("writes, lists and gets at the API server", "", Limit::Exactly(0.0), asked);
    figures.note("repositories opened", "", Limit::Exactly(0.0), opened);
    let sweeps = time.as_secs_f64() / SWEEP;
    figures.note("requests at git-api per sweep", "", Limit::AtMost(2.0), requests / sweeps);
    let per_minute = cpu / time.as_secs_f64() * 60.0;
    figures.note("core-seconds a minute, all roles", "s", Limit::AtMost(0.6), per_minute);
    for (name, role) in [
        ("git-api", &world.roles.git_api),
        ("configstore", &world.roles.configstore),
        ("actualizer", &world.roles.actualizer),
    ] {
        figures.note(format!("resident memory of the {name}"), "MiB", Limit::Told, role.usage()?.resident);
    }
    world.explain(&since, |_| true)
}

/// Says of every pod that it runs and is ready.
async fn pods_ready(world: &World) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(world.cluster.client.clone(), NAMESPACE);
    let condition = |kind| json!({"type": kind, "status": "True"});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    let status = Patch::Strategic(json!({"status": {"phase": "Running", "conditions": conditions}}));
    let parameters = PatchParams::default();
    loop {
        let all =
            pods.list(&ListParams::default().fields("status.phase=Pending")).await.context("list pods")?;
        if all.items.is_empty() {
            return Ok(());
        }
        say(&format!("{} pods become ready", all.items.len()));
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        let patches = names.iter().map(|name| pods.patch_status(name, &parameters, &status));
        let mut patched = futures::stream::iter(patches).buffer_unordered(AT_ONCE);
        while let Some(done) = patched.next().await {
            match done {
                // A roll-out replaced it meanwhile.
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(error).context("make a pod ready"),
            }
        }
    }
}

/// Waits until the controllers have nothing more to say either: no event reaches the Actualizer for 20 seconds, which
/// shows in what it burns.
async fn settle(world: &World) -> Result<()> {
    world.quiet().await?;
    let mut last = f64::MAX;
    for _ in 0..30 {
        let before = world.roles.actualizer.usage()?.cpu;
        sleep(Duration::from_secs(5)).await;
        let burnt = world.roles.actualizer.usage()?.cpu - before;
        if burnt <= 0.1 && last <= 0.1 {
            return Ok(());
        }
        last = burnt;
    }
    say("the controllers are still at work after 150 s");
    Ok(())
}
