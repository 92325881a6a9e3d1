//! `reconcile`: look at a producer now.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Api;
use kube::runtime::wait::await_condition;
use lb_desired::crd::{ConditionType, LBProducer};
use lb_vocab::Timestamp;
use serde_json::json;

use super::status::{holds, short};
use crate::cli::ReconcileArgs;
use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;

/// When somebody asked: any new value is a nudge.
const REQUESTED_AT: &str = "lunchbadger.io/reconcile-requested-at";

/// Asks for a reconcile and waits until the Actualizer has done it.
pub(crate) async fn run(
    arguments: &ReconcileArgs,
    now: Timestamp,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let name = &arguments.producer;
    let cluster = connect.cluster().await?;
    let resource = super::producers::resource(&cluster, name).await?;
    let request = now.0.to_string();
    cluster.edit(&resource, &json!({"metadata": {"annotations": {REQUESTED_AT: request}}})).await?;
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    let handled = await_condition(api, name.as_str(), |producer: Option<&LBProducer>| {
        let status = producer.and_then(|producer| producer.status.as_ref());
        status.is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(request.as_str()))
    });
    let producer = match tokio::time::timeout(Duration::from_secs(arguments.timeout), handled).await {
        Ok(done) => done.with_context(|| format!("watch LBProducer {name}"))?,
        Err(_) => bail!(
            "the Actualizer has not looked at {name} within {} s: does it run, and is it ready? Its /ready says \
             what it waits for",
            arguments.timeout
        ),
    };
    let status = producer.and_then(|producer| producer.status).unwrap_or_default();
    if screen.json() {
        screen.document(&status)?;
    } else {
        screen.line(format!("producer {name} was reconciled"))?;
        for (environment, state) in &status.environments {
            let applied = state.applied.as_ref().and_then(|revision| revision.dev.as_deref());
            let findings = state.finding_count;
            let revision = if applied.is_some() { short(applied) } else { "nothing" };
            screen.line(format!("  {environment}: {revision} is applied, {findings} findings"))?;
        }
    }
    let stalled = status.environments.values().any(|state| holds(&state.conditions, ConditionType::Stalled));
    Ok(Exit::report_if(stalled || holds(&status.conditions, ConditionType::Stalled)))
}
