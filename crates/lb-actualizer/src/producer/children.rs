//! Applying and pruning children, and the configuration of gateways.

use std::collections::BTreeSet;

use lb_cluster::{Applied, ApplyError, Child as ChildResource, Intent, Owner, Store, Uid};
use lb_desired::build::{self, Gateway};
use lb_desired::crd::{LBGateway, LBProducer};
use lb_desired::plan::{Component, Decision, GatewayPlan, Plan};
use lb_vocab::Producer;

use super::ProducerError;
use crate::child::ChildKey;
use crate::context::{Context, Key};
use crate::queue::Class;

/// Applies every child that is to be deployed. All are tried: one that cannot be applied is that child's failure.
pub(super) async fn apply(
    context: &Context,
    resource: &LBProducer,
    who: &Producer,
    plan: &Plan,
    requested: bool,
) -> Vec<ProducerError> {
    let Some(owner) = Owner::of(resource) else { return Vec::new() };
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let mut failures = Vec::new();
    let mut note = |kind: &str, name: &str, done: Result<(), ApplyError>| {
        let failed = |error| ProducerError::Apply(who.clone(), format!("{kind} {name}"), error);
        failures.extend(done.err().map(failed));
    };
    for (name, spec) in workspace.deployed() {
        let intent = intent(context, who, name, spec);
        let done = context.cluster.apply_child(&context.stores.workspaces, &owner, &intent).await;
        note("LBWorkspace", name, done.map(drop));
    }
    for (name, planned) in gateways.deployed() {
        let done = gateway(context, &owner, who, name, planned, requested).await;
        note("LBGateway", name, done);
    }
    for (name, spec) in functions.deployed() {
        let intent = intent(context, who, name, spec);
        let done = context.cluster.apply_child(&context.stores.functions, &owner, &intent).await;
        note("LBFunction", name, done.map(drop));
    }
    failures
}

fn intent<S: Clone>(context: &Context, who: &Producer, name: &str, spec: &S) -> Intent<S> {
    Intent {
        namespace: context.settings.desired.namespace(who.name()),
        name: name.to_owned(),
        labels: build::child_labels(who),
        spec: spec.clone(),
    }
}

/// A gateway's configuration comes before the child names it, so that a roll-out never waits for it; only a new
/// gateway, whose uid the configuration needs, is made first.
async fn gateway(
    context: &Context,
    owner: &Owner,
    who: &Producer,
    name: &str,
    planned: &GatewayPlan,
    requested: bool,
) -> Result<(), ApplyError> {
    let intent = intent(context, who, name, &planned.spec);
    let gateways = &context.stores.gateways;
    let standing = gateways.get(&intent.namespace, name);
    let configured = if let Some(child) = standing.filter(|child| child.metadata.deletion_timestamp.is_none())
    {
        let configured = config(context, Some(&child), planned, requested).await?;
        context.cluster.apply_child(gateways, owner, &intent).await?;
        configured
    } else {
        context.cluster.apply_child(gateways, owner, &intent).await?;
        config(context, gateways.get(&intent.namespace, name).as_deref(), planned, requested).await?
    };
    match (configured, gateways.get(&intent.namespace, name)) {
        // Records do not tell of our own writes, and the child may wait for this one. Not before the child is as it
        // shall be: a run on what it was before would make the one that counts wait for the interval.
        (Applied::Created | Applied::Changed, Some(child)) => {
            context.dispatch.queue.nudge(Key::Child(ChildKey::gateway(&child)), Class::Interactive);
        }
        (Applied::Created | Applied::Changed, None) | (Applied::Unchanged, _) => {}
    }
    Ok(())
}

/// Writes a gateway's configuration. Nothing to do where the child is gone again, or its spec is not ours.
async fn config(
    context: &Context,
    child: Option<&LBGateway>,
    planned: &GatewayPlan,
    requested: bool,
) -> Result<Applied, ApplyError> {
    let Some(child) = child else { return Ok(Applied::Unchanged) };
    let (Some(owner), Ok(gateway)) = (Owner::of(child), Gateway::try_from(&planned.spec)) else {
        return Ok(Applied::Unchanged);
    };
    let leaf = build::gateway_config(&gateway, &planned.config, &context.settings.desired);
    context.apply(&owner, &leaf, requested).await
}

/// Removes children that the plan does not have. Needs the plan's permission, kind by kind; all kinds are tried.
pub(super) async fn prune(
    context: &Context,
    resource: &LBProducer,
    who: &Producer,
    plan: &Plan,
) -> Vec<ProducerError> {
    let Some(owner) = Uid::of(resource) else { return Vec::new() };
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let results = [
        kind(context, &context.stores.gateways, owner, who, gateways).await,
        kind(context, &context.stores.functions, owner, who, functions).await,
        kind(context, &context.stores.workspaces, owner, who, workspace).await,
    ];
    results.into_iter().filter_map(Result::err).collect()
}

async fn kind<K: ChildResource, T>(
    context: &Context,
    store: &Store<K>,
    owner: Uid,
    who: &Producer,
    component: &Component<T>,
) -> Result<(), ProducerError> {
    let Some(permission) = &component.complete else { return Ok(()) };
    let keep = component.children.iter().filter(|(_, decision)| !matches!(decision, Decision::Withdraw(_)));
    let keep: BTreeSet<String> = keep.map(|(name, _)| name.clone()).collect();
    let pruned = context.cluster.prune_children(store, owner, who.environment(), &keep, permission).await;
    let pruned =
        pruned.map_err(|error| ProducerError::Prune(who.clone(), K::kind(&()).into_owned(), error))?;
    if pruned.deleted > 0 {
        tracing::info!(producer = %who, kind = %K::kind(&()), count = pruned.deleted, why = permission.why().words(), "removed");
    }
    Ok(())
}
