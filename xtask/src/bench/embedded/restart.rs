//! The Actualizer ends and comes back: to a cluster that is as it left it, and to one that somebody changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::Ingress;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use tokio::time::{Instant, sleep};

use super::World;
use super::population::{is_name, name};
use crate::bench::Bench;
use crate::bench::figure::Limit;
use crate::bench::system::{Asked, NAMESPACE, timestamp};

/// Leaf objects that are changed while the Actualizer is down: half edited, half deleted, each of another producer. None of
/// them touches pods, whose readiness is news of its own.
const CHANGED: usize = 20;
/// The host that edited Ingresses have.
const EDITED: &str = "edited.example.com";
/// How long to look for what comes late.
const LATE: Duration = Duration::from_secs(5);

/// Measures both.
pub(in crate::bench) async fn restart(bench: &mut Bench, world: &mut World) -> Result<()> {
    world.roles.actualizer.stop().await;
    let (since, begin) = (timestamp(), Instant::now());
    world.roles.start_actualizer()?;
    caught_up(world).await?;
    let seconds = begin.elapsed().as_secs_f64();
    sleep(LATE).await;
    let asked = world.cluster.audit(&since)?;
    let writes = asked.iter().filter(|asked| asked.writes()).count() as f64;
    // What the roster's ConfigMaps and our own account are asked for by name is not about producers.
    let others =
        asked.iter().filter(|asked| !asked.writes() && !["list", "watch"].contains(&asked.verb.as_str()));
    let others = others.filter(|asked| about_producers(asked)).count() as f64;
    let lists = asked.iter().filter(|asked| asked.verb == "list").count() as f64;
    let figures = &mut bench.figures;
    figures.note("unchanged: caught up after", "s", Limit::AtMost(10.0), seconds);
    figures.note("unchanged: writes", "", Limit::Exactly(0.0), writes);
    figures.note("unchanged: requests for producers' objects, lists apart", "", Limit::Exactly(0.0), others);
    figures.note("unchanged: lists", "", Limit::Told, lists);
    world.explain(&since, |asked| asked.verb != "watch")?;

    world.roles.actualizer.stop().await;
    let changed = change(world).await?;
    let (since, begin) = (timestamp(), Instant::now());
    world.roles.start_actualizer()?;
    caught_up(world).await?;
    all_stand(world, &changed).await?;
    let seconds = begin.elapsed().as_secs_f64();
    world.quiet().await?;
    let asked = world.cluster.audit(&since)?;
    let leaves = asked.iter().filter(|asked| asked.writes() && asked.leaf()).count() as f64;
    let events = most(&asked, |asked| asked.resource == "events");
    let statuses = most(&asked, |asked| asked.resource.ends_with("/status"));
    let figures = &mut bench.figures;
    figures.note(
        format!("{CHANGED} leaves changed: writes to leaves"),
        "",
        Limit::Exactly(CHANGED as f64),
        leaves,
    );
    figures.note("the same: writes of status, most of a producer", "", Limit::AtMost(1.0), statuses);
    figures.note("the same: Events, most of a producer", "", Limit::AtMost(1.0), events);
    figures.note("the same: all back after", "s", Limit::Told, seconds);
    world.explain(&since, |asked| asked.writes())
}

/// How many writes of a kind there were about that producer that had the most.
fn most(asked: &[Asked], kind: impl Fn(&Asked) -> bool) -> f64 {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for asked in asked.iter().filter(|asked| asked.writes() && kind(asked)) {
        *counts.entry(producer(asked)).or_default() += 1;
    }
    counts.into_values().max().unwrap_or_default() as f64
}

/// Whose object it is about, by its name; an Event's begins with that of its object.
fn producer(asked: &Asked) -> String {
    let mut parts = asked.name.split(['-', '.']);
    parts.find(|part| is_name(part)).unwrap_or_default().to_owned()
}

fn about_producers(asked: &Asked) -> bool {
    asked.leaf() || asked.resource.starts_with("lb")
}

/// Waits until the Actualizer leads, knows everything and has nothing to do.
async fn caught_up(world: &World) -> Result<()> {
    world.roles.actualizer_is_ready().await?;
    let begin = Instant::now();
    let mut idle = None;
    loop {
        let roles = &world.roles;
        let waiting = roles.metric(&roles.actualizer, "lunchbadger_queue_length", &[]).await?;
        let runs = world.runs().await?;
        match idle {
            Some(before) if waiting < 0.5 && before == runs.to_bits() => return Ok(()),
            _ => idle = Some(runs.to_bits()),
        }
        if begin.elapsed() > Duration::from_secs(600) {
            bail!("the Actualizer has not caught up after ten minutes");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Edits and deletes; answers which Services were deleted.
async fn change(world: &World) -> Result<BTreeSet<String>> {
    let client = &world.cluster.client;
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), NAMESPACE);
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let mut deleted = BTreeSet::new();
    for index in 0..CHANGED {
        let name = format!("gateway-{}-dev-main1", name(index));
        if index % 2 == 0 {
            let mut ingress = ingresses.get(&name).await.with_context(|| format!("find Ingress {name}"))?;
            let rules = ingress.spec.as_mut().and_then(|spec| spec.rules.as_mut());
            for rule in rules.into_iter().flatten() {
                rule.host = Some(EDITED.to_owned());
            }
            let edited = ingresses.replace(&name, &PostParams::default(), &ingress).await;
            edited.with_context(|| format!("edit Ingress {name}"))?;
        } else {
            let gone = services.delete(&name, &DeleteParams::default()).await;
            gone.with_context(|| format!("delete Service {name}"))?;
            deleted.insert(name);
        }
    }
    Ok(deleted)
}

/// Waits until deleted Services stand again, and edited Ingresses are as they were.
async fn all_stand(world: &World, deleted: &BTreeSet<String>) -> Result<()> {
    let client = &world.cluster.client;
    let ingresses: Api<Ingress> = Api::namespaced(client.clone(), NAMESPACE);
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    for name in deleted {
        let begin = Instant::now();
        while services.get_opt(name).await.context("look for a Service")?.is_none() {
            patient(begin, name)?;
            sleep(Duration::from_millis(50)).await;
        }
    }
    for index in (0..CHANGED).step_by(2) {
        let (name, begin) = (format!("gateway-{}-dev-main1", name(index)), Instant::now());
        while is_edited(&ingresses.get(&name).await.context("look at an Ingress")?) {
            patient(begin, &name)?;
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

fn is_edited(ingress: &Ingress) -> bool {
    let rules = ingress.spec.as_ref().and_then(|spec| spec.rules.as_ref());
    rules.into_iter().flatten().any(|rule| rule.host.as_deref() == Some(EDITED))
}

fn patient(begin: Instant, name: &str) -> Result<()> {
    if begin.elapsed() > Duration::from_secs(120) {
        bail!("{name} is not put back after two minutes");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_counted_by_producer() {
        let asked = |verb: &str, name: &str| Asked {
            at: String::new(),
            verb: verb.to_owned(),
            resource: "events".to_owned(),
            name: name.to_owned(),
            uri: String::new(),
            status: 201,
        };
        let all = [
            asked("create", "gateway-p00001-dev-main1.18a"),
            asked("patch", "p00001.18b"),
            asked("create", "p00002.18c"),
            asked("get", "p00002.18c"),
        ];
        assert_eq!(most(&all, |_| true), 2.0);
        assert_eq!(most(&all[..0], |_| true), 0.0);
    }
}
