//! Report: at most one status write a run, Events on transitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::Resource;
use kube::core::object::HasStatus;
use lb_cluster::ApiError;
use lb_desired::crd::{
    ChildStatus, Condition, ConditionStatus, ConditionType, LBProducer, LBProducerStatus, condition,
    set_condition,
};
use lb_vocab::{Producer, ProducerName, Timestamp};

use super::outcome::{self, Outcome, Standing as Child};
use super::{Children, ProducerError, verdict};
use crate::announce::announce;
use crate::context::{Context, Next};
use crate::requests;
use crate::roster::Standing;

/// A commit that had no effect is noted at most this often.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);

/// Whether the status says that the producer was withdrawn.
pub(super) fn is_withdrawn(resource: &LBProducer) -> bool {
    resource.status.as_ref().is_some_and(|status| ConditionType::Withdrawn.holds(&status.conditions))
}

/// Says that nothing is touched.
pub(super) async fn suspended(
    context: &Context,
    name: &ProducerName,
    resource: &LBProducer,
) -> Result<Next, ProducerError> {
    let mut status = resource.status.clone().unwrap_or_default();
    let message = "spec.suspend is true: nothing is applied and nothing is removed";
    let suspended = condition(ConditionType::Suspended, ConditionStatus::True, "Suspended", message);
    set_condition(&mut status.conditions, suspended, context.clock.now());
    status.observed_generation = resource.metadata.generation;
    write(context, name, resource, &status).await?;
    Ok(Next::Settled)
}

/// Writes what came of a run. A new revision whose children have yet to report is left to their reports, so that a
/// push costs one status write and not two.
pub(super) async fn report(
    context: &Context,
    name: &ProducerName,
    resource: &LBProducer,
    standing: &Standing,
    outcomes: &BTreeMap<Producer, Outcome>,
) -> Result<Next, ProducerError> {
    let now = context.clock.now();
    let old = resource.status.clone().unwrap_or_default();
    let mut new = old.clone();
    new.observed_generation = resource.metadata.generation;
    let mut under_way = false;
    let all = context.stores.children_of(resource);
    for (who, outcome) in outcomes {
        let children = all.clone().of(who);
        let as_planned = outcome.stands(&children.digest()) && context.dispatch.still_departing(who) == 0;
        let environment = new.environments.entry(who.environment().to_string()).or_default();
        *environment = outcome::environment(environment, outcome, &views(&children), as_planned, now);
        let applied = ConditionType::Applied.holds(&environment.conditions);
        under_way |= !applied && !outcome::notable(outcome);
    }
    for condition in whole(context, &new, standing) {
        set_condition(&mut new.conditions, condition, now);
    }
    new.missing_since = match standing {
        Standing::Present => None,
        Standing::Missing { since } | Standing::Gone { since } => Some(since.0),
        Standing::Unconfirmed(_) => old.missing_since,
    };
    let request = requests::of(resource).filter(|request| context.requests.is_done(name, request));
    if let Some(request) = request {
        new.last_handled_reconcile_at = Some(request.to_owned());
    }
    let next = recheck(context, standing, now);
    if under_way && request.is_none() && new.missing_since == old.missing_since {
        return Ok(next);
    }
    if let Some(wait) = context.noted.postpones(name, &old, &new, now) {
        return Ok(next.sooner(Next::After(wait)));
    }
    if write(context, name, resource, &new).await? {
        announce(&context.events, resource, &old.conditions, &new.conditions);
    }
    if request.is_some() {
        context.requests.close(name);
    }
    Ok(next.sooner(verdict::tell(context, name, resource, &new, &all).await?))
}

fn views(children: &Children) -> Vec<Child<'_>> {
    let workspaces = children.workspaces.iter().map(|child| view(false, child.as_ref()));
    workspaces.chain(children.gateways.iter().map(|child| view(true, child.as_ref()))).collect()
}

fn view<K: Resource + HasStatus<Status = ChildStatus>>(gateway: bool, child: &K) -> Child<'_> {
    Child { gateway, generation: child.meta().generation, status: child.status() }
}

/// When to look again whether a missing producer is gone.
fn recheck(context: &Context, standing: &Standing, now: Timestamp) -> Next {
    match standing {
        Standing::Missing { since } => {
            let over = since.plus(context.settings.producer_grace);
            Next::After(over.since(now).max(Duration::from_millis(100)))
        }
        Standing::Unconfirmed(_) => Next::Retry,
        Standing::Present | Standing::Gone { .. } => Next::Settled,
    }
}

/// When a commit without effect was last noted, by producer.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<HashMap<ProducerName, Timestamp>>);

impl Noted {
    /// How long to wait before this status is written, because it notes no more than a commit without effect; `None`:
    /// write it now.
    fn postpones(
        &self,
        name: &ProducerName,
        old: &LBProducerStatus,
        new: &LBProducerStatus,
        now: Timestamp,
    ) -> Option<Duration> {
        if old == new || !outcome::same_effect(old, new) {
            return None;
        }
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = noted.get(name).copied();
        match last.map(|last| now.since(last)).filter(|passed| *passed < NOTE_INTERVAL) {
            Some(passed) => Some(NOTE_INTERVAL - passed),
            None => {
                noted.insert(name.clone(), now);
                None
            }
        }
    }
}

/// Conditions of the producer as a whole.
fn whole(context: &Context, status: &LBProducerStatus, standing: &Standing) -> Vec<Condition> {
    use ConditionStatus::{False, True, Unknown};
    use ConditionType::{Applied, Disabled, Missing, Ready, Reconciling, Stalled, Suspended, Withdrawn};
    let grace = context.settings.producer_grace.as_secs();
    let (missing, withdrawn) = match standing {
        Standing::Present => {
            (condition(Missing, False, "Listed", ""), condition(Withdrawn, False, "Listed", ""))
        }
        Standing::Missing { .. } => {
            let message =
                format!("the configstore does not know it; withdrawn if that is still so after {grace} s");
            (condition(Missing, True, "NotFound", &message), condition(Withdrawn, False, "Grace", ""))
        }
        Standing::Gone { .. } => {
            let message = format!("the configstore did not know it twice, {grace} s apart");
            (condition(Missing, True, "NotFound", &message), condition(Withdrawn, True, "NotFound", &message))
        }
        Standing::Unconfirmed(why) => {
            let message =
                format!("it is not in the list, and the configstore does not say for certain: {why}");
            (
                condition(Missing, Unknown, "Unconfirmed", &message),
                condition(Withdrawn, Unknown, "Unconfirmed", ""),
            )
        }
    };
    let mut conditions = vec![missing, withdrawn, condition(Suspended, False, "Active", "")];
    for kind in [Applied, Ready] {
        conditions.extend(summary(status, kind, False));
    }
    for kind in [Reconciling, Stalled, Disabled] {
        conditions.extend(summary(status, kind, True));
    }
    conditions
}

/// A condition over all environments: the first of them that is `decisive` says it for all.
fn summary(status: &LBProducerStatus, kind: ConditionType, decisive: ConditionStatus) -> Option<Condition> {
    let all = || status.environments.values().filter_map(|environment| kind.of(&environment.conditions));
    all().find(|c| c.status == decisive.name()).or_else(|| all().next()).cloned()
}

pub(super) async fn write(
    context: &Context,
    name: &ProducerName,
    resource: &LBProducer,
    status: &LBProducerStatus,
) -> Result<bool, ProducerError> {
    let written: Result<bool, ApiError> =
        context.cluster.write_status(&context.stores.producers, resource, status).await;
    written.map_err(|error| ProducerError::Report(name.clone(), error))
}

#[cfg(test)]
mod tests {
    use lb_desired::crd::{EnvironmentStatus, RevisionStatus};
    use lb_testkit::clock::ManualClock;

    use super::*;

    fn at(commit: u8, findings: u32) -> LBProducerStatus {
        let revision =
            RevisionStatus { dev: Some(commit.to_string().repeat(40)), ..RevisionStatus::default() };
        let environment = EnvironmentStatus {
            attempted: Some(revision.clone()),
            applied: Some(revision),
            inputs_digest: Some(commit.to_string()),
            finding_count: findings,
            ..EnvironmentStatus::default()
        };
        LBProducerStatus {
            environments: [("dev".to_owned(), environment)].into(),
            ..LBProducerStatus::default()
        }
    }

    #[test]
    fn commits_without_effect_are_noted_every_30_seconds_at_most() {
        let (noted, time) = (Noted::default(), ManualClock::default());
        let clock = time.clock();
        let (al, bo) = ("al".parse().unwrap(), "bo".parse().unwrap());
        let postpones = |name: &ProducerName, old, new| noted.postpones(name, &old, &new, clock.now());
        assert_eq!(postpones(&al, at(1, 0), at(2, 0)), None);
        time.advance(Duration::from_secs(10));
        assert_eq!(postpones(&al, at(2, 0), at(3, 0)), Some(Duration::from_secs(20)));
        assert_eq!(postpones(&bo, at(2, 0), at(3, 0)), None, "another producer's");
        assert_eq!(postpones(&al, at(2, 0), at(3, 1)), None, "it has an effect");
        assert_eq!(postpones(&al, at(2, 0), at(2, 0)), None, "there is nothing to write");
        time.advance(Duration::from_millis(19_999));
        assert_eq!(postpones(&al, at(2, 0), at(4, 0)), Some(Duration::from_millis(1)));
        time.advance(Duration::from_millis(1));
        assert_eq!(postpones(&al, at(2, 0), at(4, 0)), None);
        assert_eq!(postpones(&al, at(4, 0), at(5, 0)), Some(NOTE_INTERVAL));
    }
}
