//! Report: a child's status, written only where it differs; Events on transitions.

use kube::core::object::HasStatus;
use lb_cluster::{ApiError, Child as ChildResource, Rollout, Store};
use lb_desired::build::SpecError;
use lb_desired::crd::{ChildStatus, Condition, ConditionStatus, ConditionType, condition, set_condition};
use lb_vocab::{MAX_REPORTED_FINDINGS, Timestamp, with_causes};

use super::{Child, Outcome};
use crate::announce::announce;
use crate::context::Context;

/// Writes what came of a run, with the reason and the words of what failed, and says whether that was anything new.
pub(super) async fn report(
    context: &Context,
    child: &Child,
    outcome: &Outcome,
    failure: Option<&(&'static str, String)>,
) -> Result<bool, ApiError> {
    write(context, child, |old, generation, now| status(old, generation, outcome, failure, now)).await
}

/// Writes that nothing can be built from the spec.
pub(super) async fn broken(context: &Context, child: &Child, error: &SpecError) -> Result<bool, ApiError> {
    let failure = ("SpecRefused", with_causes(error));
    let outcome = Outcome { findings: vec![failure.1.clone()], ..Outcome::default() };
    write(context, child, |old, generation, now| status(old, generation, &outcome, Some(&failure), now)).await
}

async fn write(
    context: &Context,
    child: &Child,
    new: impl FnOnce(&ChildStatus, Option<i64>, Timestamp) -> ChildStatus,
) -> Result<bool, ApiError> {
    match child {
        Child::Workspace(child) => one(context, &context.stores.workspaces, child.as_ref(), new).await,
        Child::Gateway(child) => one(context, &context.stores.gateways, child.as_ref(), new).await,
        Child::Function(child) => one(context, &context.stores.functions, child.as_ref(), new).await,
    }
}

async fn one<K: ChildResource + HasStatus<Status = ChildStatus>>(
    context: &Context,
    store: &Store<K>,
    child: &K,
    new: impl FnOnce(&ChildStatus, Option<i64>, Timestamp) -> ChildStatus,
) -> Result<bool, ApiError> {
    let old = child.status().cloned().unwrap_or_default();
    let new = new(&old, child.meta().generation, context.clock.now());
    let written = context.cluster.write_status(store, child, &new).await?;
    if written {
        announce(&context.events, child, &old.conditions, &new.conditions);
    }
    Ok(written)
}

/// The status after a run; equal to the old one where nothing changed.
fn status(
    old: &ChildStatus,
    generation: Option<i64>,
    outcome: &Outcome,
    failure: Option<&(&'static str, String)>,
    now: Timestamp,
) -> ChildStatus {
    let Outcome { standing, remaining, rollout, findings, waiting, sent: _ } = outcome;
    let mut new = old.clone();
    new.observed_generation = generation;
    new.objects = format!("{}/{}", standing.0, standing.1);
    new.findings =
        findings.iter().take(MAX_REPORTED_FINDINGS).map(|line| line.chars().take(256).collect()).collect();
    let applied = standing.0 == standing.1 && *remaining == 0 && waiting.is_none() && failure.is_none();
    let why = match (failure, waiting) {
        (Some((reason, message)), _) => (*reason, message.clone()),
        (None, Some(what)) => ("Waiting", format!("waiting for {what}")),
        (None, None) if *remaining > 0 => ("Removing", format!("{remaining} objects are being removed")),
        (None, None) => ("InProgress", "objects are being applied".to_owned()),
    };
    for condition in conditions(applied, &why, *rollout, failure.is_some()) {
        set_condition(&mut new.conditions, condition, now);
    }
    new
}

fn conditions(
    applied: bool,
    (reason, message): &(&'static str, String),
    rollout: Option<Rollout>,
    failed: bool,
) -> [Condition; 4] {
    use ConditionStatus::{False, True};
    let ready = match rollout {
        Some(Rollout::Done) if applied => condition(ConditionType::Ready, True, "Ready", "every pod serves"),
        Some(Rollout::Failed) => condition(
            ConditionType::Ready,
            False,
            "Failed",
            "the roll-out made no progress: look at the pods",
        ),
        Some(Rollout::Progressing { ready, wanted }) => {
            let message = format!("{ready} of {wanted} pods serve");
            condition(ConditionType::Ready, False, "Progressing", &message)
        }
        Some(Rollout::Done) | None => {
            condition(ConditionType::Ready, False, "NotApplied", "objects do not stand yet")
        }
    };
    let (standing, reconciling) = if applied {
        let standing = condition(ConditionType::Applied, True, "Applied", "every object stands");
        (standing, condition(ConditionType::Reconciling, False, "Settled", ""))
    } else {
        let standing = condition(ConditionType::Applied, False, reason, message);
        (standing, condition(ConditionType::Reconciling, True, reason, message))
    };
    let stalled = if failed && *reason == "SpecRefused" {
        condition(ConditionType::Stalled, True, reason, message)
    } else {
        condition(ConditionType::Stalled, False, "NotStalled", "")
    };
    [standing, ready, reconciling, stalled]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(status: &ChildStatus, kind: ConditionType) -> (&str, &str) {
        let condition = kind.of(&status.conditions).unwrap();
        (&condition.status, &condition.reason)
    }

    #[test]
    fn applied_when_all_stand_and_nothing_is_left_over() {
        let of = |standing, remaining| {
            let outcome = Outcome { standing, remaining, rollout: Some(Rollout::Done), ..Outcome::default() };
            status(&ChildStatus::default(), Some(1), &outcome, None, Timestamp(0))
        };
        assert_eq!(says(&of((4, 4), 0), ConditionType::Applied), ("True", "Applied"));
        assert_eq!(says(&of((3, 4), 0), ConditionType::Applied), ("False", "InProgress"));
        assert_eq!(says(&of((4, 4), 1), ConditionType::Applied), ("False", "Removing"));
        assert_eq!(says(&of((4, 4), 0), ConditionType::Ready), ("True", "Ready"));
        assert_eq!(says(&of((3, 4), 0), ConditionType::Ready), ("False", "NotApplied"));
    }

    #[test]
    fn the_same_outcome_gives_the_same_status() {
        let outcome = Outcome { waiting: Some("Secret x".into()), ..Outcome::default() };
        let once = status(&ChildStatus::default(), Some(1), &outcome, None, Timestamp(1000));
        assert_eq!(status(&once, Some(1), &outcome, None, Timestamp(5000)), once);
        assert_eq!(says(&once, ConditionType::Reconciling).0, "True");
    }
}
