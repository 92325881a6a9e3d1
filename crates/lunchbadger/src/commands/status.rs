//! `status`: what stands and what does not.

mod children;
mod detail;
mod hooks;
mod watch;

use anyhow::Result;
use kube::Api;
use kube::api::ListParams;
use lb_cluster::Cluster;
use lb_desired::crd::{Access, Condition, ConditionType, EnvironmentStatus, LBProducer};
use serde_json::json;

pub(crate) use children::{Child, all_children, children};

use super::explain::explain;
use crate::cli::StatusArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, Table, printable};

/// Shows it once, or again whenever it changes.
pub(crate) async fn run(arguments: &StatusArgs, connect: &Connect<'_>, screen: &mut Screen) -> Result<Exit> {
    let cluster = connect.cluster().await?;
    if arguments.watch {
        watch::run(arguments, connect, &cluster, screen).await
    } else {
        show(arguments, connect, &cluster, screen).await
    }
}

async fn show(
    arguments: &StatusArgs,
    connect: &Connect<'_>,
    cluster: &Cluster,
    screen: &mut Screen,
) -> Result<Exit> {
    let client = cluster.client();
    let api: Api<LBProducer> = Api::all(client.clone());
    let producers = match &arguments.producer {
        Some(name) => vec![super::producers::resource(cluster, name).await?],
        None => {
            let listed = api.list(&ListParams::default()).await;
            listed.map_err(|error| explain("list LBProducers", error))?.items
        }
    };
    if arguments.findings {
        return findings(&producers, screen);
    }
    match (&arguments.producer, screen.json()) {
        (None, false) => {
            overview(&producers, screen)?;
            if let Some(line) = connect.hooks().await.and_then(|hooks| hooks::line(&hooks)) {
                screen.line(printable(&line))?;
            }
        }
        (None, true) => {
            let hooks = connect.hooks().await;
            screen.document(&json!({"producers": producers, "hooks": hooks}))?;
        }
        (Some(name), json) => {
            let children = children(client, name).await?;
            if json {
                let children: Vec<_> = children.iter().map(Child::document).collect();
                screen.document(&json!({"producers": producers, "children": children}))?;
            } else {
                for producer in &producers {
                    detail::show(producer, &children, screen)?;
                }
            }
        }
    }
    Ok(Exit::Clean)
}

fn overview(producers: &[LBProducer], screen: &mut Screen) -> Result<()> {
    let mut table =
        Table::new(&["PRODUCER", "ENV", "STATE", "APPLIED", "READY", "REVISION", "GATEWAYS", "FINDINGS"]);
    for producer in producers {
        for (name, status) in environments(producer) {
            table.row([
                producer.metadata.name.as_deref().unwrap_or_default(),
                &name,
                state(producer, &status),
                of(&status.conditions, ConditionType::Applied),
                of(&status.conditions, ConditionType::Ready),
                short(status.applied.as_ref().and_then(|revision| revision.dev.as_deref())),
                &status.gateways,
                &status.finding_count.to_string(),
            ]);
        }
    }
    screen.text(&table.render())?;
    if producers.is_empty() {
        screen.note("there are no producers in this cluster yet: `lunchbadger producers create NAME`, and an Actualizer")?;
    }
    Ok(())
}

/// The environments of a producer, those without a status, too.
fn environments(producer: &LBProducer) -> Vec<(String, EnvironmentStatus)> {
    let known =
        |name: &String| producer.status.as_ref().and_then(|status| status.environments.get(name)).cloned();
    let mut all: Vec<_> = producer
        .spec
        .environments
        .iter()
        .map(|name| (name.clone(), known(name).unwrap_or_default()))
        .collect();
    for (name, status) in producer.status.iter().flat_map(|status| &status.environments) {
        if !producer.spec.environments.contains(name) {
            all.push((name.clone(), status.clone()));
        }
    }
    all
}

/// The one word that matters most.
fn state(producer: &LBProducer, environment: &EnvironmentStatus) -> &'static str {
    let of_producer = producer.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let holds = |kind: ConditionType| kind.holds(of_producer) || kind.holds(&environment.conditions);
    let telling = [
        ConditionType::Suspended,
        ConditionType::Withdrawn,
        ConditionType::Disabled,
        ConditionType::Stalled,
        ConditionType::Missing,
        ConditionType::Reconciling,
    ];
    if let Some(kind) = telling.into_iter().find(|kind| holds(*kind)) {
        return kind.name();
    }
    match (producer.spec.suspend, producer.spec.access, &environment.attempted) {
        (true, _, _) => "Suspended",
        (false, Access::Disabled, _) => "Disabled",
        (false, Access::Enabled, None) => "New",
        (false, Access::Enabled, Some(_)) => "Running",
    }
}

/// A condition's status, empty where it is not there.
fn of(conditions: &[Condition], kind: ConditionType) -> &str {
    kind.of(conditions).map(|c| c.status.as_str()).unwrap_or_default()
}

/// A commit for people.
pub(crate) fn short(commit: Option<&str>) -> &str {
    commit.map(|commit| commit.get(..10).unwrap_or(commit)).unwrap_or_default()
}

fn findings(producers: &[LBProducer], screen: &mut Screen) -> Result<Exit> {
    let mut found = Vec::new();
    for producer in producers {
        let name = producer.metadata.name.as_deref().unwrap_or_default();
        for (environment, status) in environments(producer) {
            let left = usize::try_from(status.finding_count)
                .unwrap_or(usize::MAX)
                .saturating_sub(status.findings.len());
            for finding in &status.findings {
                found.push(json!({"producer": name, "environment": environment, "finding": finding}));
                if !screen.json() {
                    screen.line(printable(&format!("{name}-{environment}: {finding}")))?;
                }
            }
            if left > 0 && !screen.json() {
                screen.line(printable(&format!(
                    "{name}-{environment}: and {left} more: `lunchbadger plan` shows all"
                )))?;
            }
        }
    }
    if screen.json() {
        screen.document(&json!({"findings": found}))?;
    }
    Ok(Exit::report_if(!found.is_empty()))
}
