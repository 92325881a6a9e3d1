//! `producers purge`: everything of a producer goes, credentials included.

use std::io::{BufRead, IsTerminal, stdin};
use std::iter;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use lb_actualizer::PURGE;
use lb_cluster::CONFIRM_DELETE;
use lb_desired::crd::{Access, ConditionType, LBProducer};
use lb_vocab::ProducerName;
use serde_json::json;

use crate::connect::Connect;
use crate::exit::Exit;
use crate::screen::Screen;

/// How long the Actualizer is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the operator agreed to beforehand.
pub(super) struct Consent {
    /// The name need not be typed.
    pub(super) yes: bool,
    /// It may be enabled and known to the configstore.
    pub(super) force: bool,
}

/// Marks the producer and waits until the Actualizer has removed everything.
pub(super) async fn run(
    name: &ProducerName,
    consent: &Consent,
    connect: &Connect<'_>,
    screen: &mut Screen,
) -> Result<Exit> {
    let cluster = connect.cluster().await?;
    let resource = super::resource(&cluster, name).await?;
    if !consent.force && !is_off(&resource) {
        bail!(
            "producer {name} is neither disabled nor withdrawn: `lunchbadger producers disable {name}` first, \
             or say `--force`"
        );
    }
    if !consent.yes {
        confirm(name, screen)?;
    }
    cluster
        .edit(&resource, &json!({"metadata": {"annotations": {PURGE: name, CONFIRM_DELETE: name}}}))
        .await?;
    screen.note(format!("waiting until the Actualizer has removed everything of {name}"))?;
    let uid = resource.uid().unwrap_or_default();
    let api: Api<LBProducer> = Api::all(cluster.client().clone());
    // Where its git user is still there the LBProducer stays, disabled, and the request is taken back.
    let gone = await_condition(api, name.as_str(), |producer: Option<&LBProducer>| {
        producer.is_none_or(|producer| {
            producer.uid().as_deref() != Some(&uid) || !producer.annotations().contains_key(PURGE)
        })
    });
    match tokio::time::timeout(PATIENCE, gone).await {
        Ok(done) => done.map(drop).with_context(|| format!("watch LBProducer {name}"))?,
        Err(_) => bail!(
            "LBProducer {name} is still there after {} s: `lunchbadger status {name}` shows what it waits for; \
             the purge stays asked for",
            PATIENCE.as_secs()
        ),
    }
    if screen.json() {
        screen.document(&json!({"purged": name}))?;
    } else {
        screen.line(format!(
            "everything of producer {name} is removed from the cluster; its repositories are not"
        ))?;
    }
    Ok(Exit::Clean)
}

/// Whether nothing of the producer runs by anybody's will.
fn is_off(resource: &LBProducer) -> bool {
    let conditions = resource.status.iter().flat_map(|status| {
        iter::once(&status.conditions).chain(status.environments.values().map(|state| &state.conditions))
    });
    let told = |kind: ConditionType| conditions.clone().any(|conditions| kind.holds(conditions));
    match resource.spec.access {
        Access::Disabled => true,
        Access::Enabled => told(ConditionType::Withdrawn) || told(ConditionType::Disabled),
    }
}

fn confirm(name: &ProducerName, screen: &mut Screen) -> Result<()> {
    if !stdin().is_terminal() {
        bail!("this removes the credentials of producer {name}, too, and nobody can be asked: say `--yes`");
    }
    screen.note(format!(
        "This removes everything of producer {name} from the cluster, its credentials included: they can never be \
         had again.\nType the producer's name to go on:"
    ))?;
    let mut typed = String::new();
    stdin().lock().read_line(&mut typed).context("read the answer")?;
    if typed.trim() != name.as_str() {
        bail!("`{}` is not `{name}`: nothing was changed", typed.trim());
    }
    Ok(())
}
