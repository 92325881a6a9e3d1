//! `reconcile`: look at a producer now.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use lb_cluster::Version;
use lb_desired::crd::{
    ConditionType, EnvironmentStatus, LBProducer, LBProducerStatus, RECONCILE_REQUESTED_AT,
};
use lb_process::clock;
use lb_vocab::ProducerName;
use serde_json::json;

use super::status::short;
use crate::cli::ReconcileArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::{Screen, printable};

/// Asks for a reconcile and waits until the request was handled.
pub(crate) async fn run(
    arguments: &ReconcileArgs,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let name = &arguments.producer;
    let cluster = connect.cluster().await?;
    let resource = super::producers::resource(&cluster, name).await?;
    refuse_suspended(name, &resource)?;
    let request = clock::system().now().0.to_string();
    let change = json!({"metadata": {"annotations": {RECONCILE_REQUESTED_AT: request}}});
    let asked = cluster.edit(&resource, &change).await?;
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    let ended = await_condition(api, name.as_str(), |producer: Option<&LBProducer>| {
        producer.is_none_or(|producer| producer.spec.suspend || is_handled(producer, &asked))
    });
    let producer = match tokio::time::timeout(Duration::from_secs(arguments.timeout), ended).await {
        Ok(ended) => ended.with_context(|| format!("watch LBProducer {name}"))?,
        Err(_) => bail!(
            "the Actualizer has not handled the request after {} s: look whether it runs (its /ready says what it \
             waits for), and at `lunchbadger status {name}`; the request stays",
            arguments.timeout
        ),
    };
    let Some(producer) = producer else { bail!("LBProducer {name} was deleted meanwhile") };
    refuse_suspended(name, &producer)?;
    let status = producer.status.unwrap_or_default();
    if screen.json() {
        screen.document(&status)?;
    } else {
        show(name, &status, screen)?;
    }
    Ok(Exit::report_if(!status.environments.values().all(is_applied)))
}

fn refuse_suspended(name: &ProducerName, resource: &LBProducer) -> Result<()> {
    if resource.spec.suspend {
        bail!("producer {name} is suspended: `lunchbadger producers resume {name}` first");
    }
    Ok(())
}

/// Whether the newest request was handled: ours, or one that somebody made after it.
fn is_handled(producer: &LBProducer, asked: &LBProducer) -> bool {
    let handled = producer.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_ref());
    Version::of(producer) >= Version::of(asked)
        && handled.is_some()
        && handled == producer.annotations().get(RECONCILE_REQUESTED_AT)
}

fn is_applied(environment: &EnvironmentStatus) -> bool {
    ConditionType::Applied.holds(&environment.conditions)
}

fn show(name: &ProducerName, status: &LBProducerStatus, screen: &mut Screen) -> Result<()> {
    screen.line(format!("producer {name} was reconciled"))?;
    for (environment, state) in &status.environments {
        let attempted = state.attempted.as_ref().and_then(|revision| revision.dev.as_deref());
        let revision = if attempted.is_some() { short(attempted) } else { "nothing" };
        let findings = state.finding_count;
        if is_applied(state) {
            screen.line(format!("  {environment}: {revision} is applied, {findings} findings"))?;
        } else {
            let why = ConditionType::Applied.of(&state.conditions).map(|c| c.message.as_str());
            let why = printable(why.unwrap_or_default());
            screen.line(format!("  {environment}: {revision} is not applied, {findings} findings: {why}"))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(version: &str, asked: Option<&str>, handled: Option<&str>) -> LBProducer {
        let mut producer = LBProducer::new("al", Default::default());
        producer.metadata.resource_version = Some(version.to_owned());
        let asked = asked.map(|value| (RECONCILE_REQUESTED_AT.to_owned(), value.to_owned()));
        producer.metadata.annotations = Some(asked.into_iter().collect());
        producer.status = Some(LBProducerStatus {
            last_handled_reconcile_at: handled.map(str::to_owned),
            ..LBProducerStatus::default()
        });
        producer
    }

    #[test]
    fn the_newest_request_is_handled_and_not_an_older_one() {
        let ours = producer("20", Some("2"), Some("1"));
        let handled = |version, asked, handled| is_handled(&producer(version, asked, handled), &ours);
        assert!(!handled("9", Some("1"), Some("1")), "a list may be older than our request");
        assert!(!handled("20", Some("2"), Some("1")));
        assert!(handled("21", Some("2"), Some("2")));
        assert!(!handled("22", Some("3"), Some("2")), "somebody asked after us: theirs is waited for");
        assert!(handled("23", Some("3"), Some("3")));
        assert!(!handled("24", None, None));
    }
}
