//! The child driver: one `LBWorkspace` or `LBGateway` -> its Kubernetes objects. Its spec is all that it needs.
//!
//! build -> apply -> prune -> report. An error ends the run; the key is nudged again.

mod blueprint;
mod report;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use kube::ResourceExt;
use lb_cluster::{ApiError, Applied, ApplyError, Owner, Retry, Rollout, State};
use lb_desired::build::{Leaf, LeafKind, SpecError};
use lb_desired::crd::{LBFunction, LBGateway, LBWorkspace};

use blueprint::Blueprint;

use crate::context::Context;
use crate::hosts;
use crate::queue::Run;

/// Names a child.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ChildKey {
    /// An `LBWorkspace` by namespace and name.
    Workspace(String, String),
    /// An `LBGateway` by namespace and name.
    Gateway(String, String),
    /// An `LBFunction` by namespace and name.
    Function(String, String),
}

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workspace(_, name) => write!(f, "LBWorkspace {name}"),
            Self::Gateway(_, name) => write!(f, "LBGateway {name}"),
            Self::Function(_, name) => write!(f, "LBFunction {name}"),
        }
    }
}

impl ChildKey {
    /// The namespace.
    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Workspace(namespace, _) | Self::Gateway(namespace, _) | Self::Function(namespace, _) => {
                namespace
            }
        }
    }

    pub(crate) fn workspace(child: &LBWorkspace) -> Self {
        Self::Workspace(child.namespace().unwrap_or_default(), child.name_any())
    }

    pub(crate) fn function(child: &LBFunction) -> Self {
        Self::Function(child.namespace().unwrap_or_default(), child.name_any())
    }

    pub(crate) fn gateway(child: &LBGateway) -> Self {
        Self::Gateway(child.namespace().unwrap_or_default(), child.name_any())
    }
}

/// A child that objects are built from.
#[derive(Clone, Debug)]
pub(crate) enum Child {
    /// A workspace with its sls-api.
    Workspace(Arc<LBWorkspace>),
    /// A gateway.
    Gateway(Arc<LBGateway>),
    /// A function: validated, not run yet.
    Function(Arc<LBFunction>),
}

/// Why a child's objects do not stand.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChildError {
    /// The child came without uid: it was not read from the API server.
    #[error("{0} has no uid")]
    NoUid(ChildKey),
    /// Nothing can be built from its spec.
    #[error("build the objects of {0}")]
    Spec(ChildKey, #[source] SpecError),
    /// An object could not be applied. The others were tried.
    #[error("apply {1} of {0}")]
    Apply(ChildKey, String, #[source] ApplyError),
    /// Something could not be pruned.
    #[error("prune objects of {0}")]
    Prune(ChildKey, #[source] ApiError),
    /// The status could not be written.
    #[error("report on {0}")]
    Report(ChildKey, #[source] ApiError),
}

/// What came of one run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Objects that stand, of those that should.
    pub standing: (usize, usize),
    /// Objects that should not be there and still are.
    pub remaining: usize,
    /// Its pods serve.
    pub rollout: Option<Rollout>,
    /// What an operator should know.
    pub findings: Vec<String>,
    /// What is waited for.
    pub waiting: Option<String>,
    /// Something was asked of the API server.
    pub sent: bool,
}

impl ChildError {
    /// The variant's name: metric label.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoUid(_) => "NoUid",
            Self::Spec(..) => "Spec",
            Self::Apply(..) => "Apply",
            Self::Prune(..) => "Prune",
            Self::Report(..) => "Report",
        }
    }

    /// When to try again.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::NoUid(_) | Self::Spec(..) => Retry::Never,
            Self::Apply(_, _, error) => error.retry(),
            Self::Prune(_, error) | Self::Report(_, error) => error.retry(),
        }
    }
}

/// Makes one child's objects stand. Idle where nothing differed, and nothing was new to report.
///
/// # Errors
/// Of what failed that which is to be tried again first, after the status was written.
pub(crate) async fn reconcile(context: &Context, key: &ChildKey) -> Result<Run, ChildError> {
    let Some(child) = context.stores.child(key) else { return Ok(Run::Idle) };
    if context.is_untouchable(&child) {
        return Ok(Run::Idle);
    }
    let owner = child.owner().ok_or_else(|| ChildError::NoUid(key.clone()))?;
    let mut blueprint = match child.blueprint(&context.settings.desired) {
        Ok(blueprint) => blueprint,
        Err(error) => {
            report::broken(context, &child, &error).await.map_err(|e| ChildError::Report(key.clone(), e))?;
            return Err(ChildError::Spec(key.clone(), error));
        }
    };
    let mut outcome = Outcome { waiting: blueprint.waiting.map(str::to_owned), ..Outcome::default() };
    let refused = hosts::withhold(&mut blueprint.leaves, |host| context.owns_host(key, host));
    outcome.findings = hosts::findings(&refused, |host| context.host_owner(host));
    let applied = apply(context, &child, &owner, &blueprint, &mut outcome).await;
    let pruned = prune(context, &child, &owner, &blueprint, &mut outcome).await;
    let failure = applied.as_ref().err().map(|(name, error)| (error.name(), format!("{name}: {error}")));
    let failure = failure.or_else(|| pruned.as_ref().err().map(|error| (error.name(), error.to_string())));
    let unapplied = applied.err().map(|(name, error)| ChildError::Apply(key.clone(), name, error));
    let unpruned = pruned.err().map(|error| ChildError::Prune(key.clone(), error));
    let soonest = unapplied.into_iter().chain(unpruned).min_by_key(ChildError::retry);
    // What moved meanwhile is tried again at once: that is no failure to tell.
    let moved = soonest.as_ref().is_some_and(|error| error.retry() == Retry::Soon);
    let reported = !moved
        && report::report(context, &child, &outcome, failure.as_ref())
            .await
            .map_err(|error| ChildError::Report(key.clone(), error))?;
    let run = if outcome.sent || reported { Run::Worked } else { Run::Idle };
    soonest.map_or(Ok(run), Err)
}

/// Applies what differs, configuration before Deployments. Everything is tried; of the failures the one that is to be
/// tried again first is the answer.
async fn apply(
    context: &Context,
    child: &Child,
    owner: &Owner,
    blueprint: &Blueprint,
    outcome: &mut Outcome,
) -> Result<(), (String, ApplyError)> {
    let config_stands = config_stands(context, child, blueprint);
    let requested = context.requests.waits_for(&child.key());
    let mut failures = Vec::new();
    outcome.standing.1 = blueprint.leaves.len() + usize::from(blueprint.config.is_some());
    outcome.standing.0 = usize::from(blueprint.config.is_some() && config_stands);
    for leaf in &blueprint.leaves {
        if leaf.kind == LeafKind::Deployment && !config_stands {
            outcome.waiting = blueprint.config.as_ref().map(|name| format!("Secret {name}"));
            continue;
        }
        match context.apply(owner, leaf, requested).await {
            Ok(applied) => {
                outcome.standing.0 += 1;
                outcome.sent |= requested || applied != Applied::Unchanged;
                context.metrics.applied(leaf.kind, applied);
                note(child, leaf, applied);
            }
            Err(error) => {
                outcome.findings.push(error.to_string());
                failures.push((format!("{} {}", leaf.kind.kind(), leaf.name), error));
            }
        }
    }
    failures.into_iter().min_by_key(|(_, error)| error.retry()).map_or(Ok(()), Err)
}

fn note(child: &Child, leaf: &Leaf, applied: Applied) {
    match applied {
        Applied::Unchanged => {}
        Applied::Created | Applied::Changed => {
            tracing::info!(child = %child.key(), kind = leaf.kind.kind(), name = leaf.name, ?applied, "applied");
        }
    }
}

fn config_stands(context: &Context, child: &Child, blueprint: &Blueprint) -> bool {
    let Some(name) = &blueprint.config else { return true };
    let record = context.records.get(LeafKind::Secret, child.key().namespace(), name);
    record.is_some_and(|record| matches!(record.state, State::Matches(_)))
}

/// Removes what the child does not want any more. Configurations of the previous roll-out stay until the new one is
/// complete: pods of it may still start.
async fn prune(
    context: &Context,
    child: &Child,
    owner: &Owner,
    blueprint: &Blueprint,
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let mut desired: BTreeSet<(LeafKind, String)> =
        blueprint.leaves.iter().map(|leaf| (leaf.kind, leaf.name.clone())).collect();
    desired.extend(blueprint.config.iter().map(|name| (LeafKind::Secret, name.clone())));
    outcome.rollout = rollout(context, child, blueprint);
    if outcome.rollout != Some(Rollout::Done) {
        let owned = context.records.owned_by(owner.uid);
        desired.extend(
            owned
                .into_iter()
                .filter(|(kind, ..)| *kind == LeafKind::Secret)
                .map(|(kind, _, name, _)| (kind, name.to_string())),
        );
    }
    let pruned = context.cluster.prune(&context.records, owner.uid, &desired).await?;
    outcome.remaining = pruned.remaining;
    outcome.sent |= pruned.deleted > 0;
    Ok(())
}

/// How far the roll-out of all of a child's Deployments is: the worst of them. `None` where one does not stand yet.
fn rollout(context: &Context, child: &Child, blueprint: &Blueprint) -> Option<Rollout> {
    let key = child.key();
    let mut worst = Rollout::Done;
    for leaf in blueprint.leaves.iter().filter(|leaf| leaf.kind == LeafKind::Deployment) {
        let record = context.records.get(leaf.kind, key.namespace(), &leaf.name)?;
        match (worst, record.rollout) {
            (Rollout::Failed, _) | (_, Rollout::Done) => {}
            (Rollout::Done | Rollout::Progressing { .. }, rollout) => worst = rollout,
        }
    }
    Some(worst)
}
