//! What a reconcile of one environment came to, and what its status should say.

use lb_desired::crd::{
    ChildStatus, Condition, ConditionStatus, ConditionType, EnvironmentStatus, LBProducerStatus,
    RevisionStatus, condition, set_condition,
};
use lb_desired::plan::{Plan, Why};
use lb_vocab::{Digest, Finding, MAX_REPORTED_FINDINGS, Revision, Timestamp, with_causes};

use super::ProducerError;

/// What a reconcile of one environment came to. Kept in memory, so that a child's news costs no new plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    /// The revision that was worked on.
    pub(crate) revision: Revision,
    /// Digest of everything that the plan was made from; `None` where a source could not be read, so that it is
    /// read again.
    pub(crate) inputs: Option<String>,
    /// Digest of the children as they should stand.
    pub(crate) children: Option<String>,
    /// Credentials stand.
    pub(crate) credentials: bool,
    /// Findings as a status carries them, and how many there are in all.
    pub(crate) findings: (Vec<String>, u32),
    /// Why something is held; empty where nothing is.
    pub(crate) held: Vec<String>,
    /// Why everything is removed, if it is.
    pub(crate) removed: Option<Why>,
    /// What does not go on without a change from outside.
    pub(crate) stalled: Option<(&'static str, String)>,
}

/// A child that stands, as far as a status needs it.
#[derive(Clone, Debug)]
pub(crate) struct Standing<'a> {
    /// Whether it is a gateway.
    pub(crate) gateway: bool,
    /// Its generation.
    pub(crate) generation: Option<i64>,
    /// Its status.
    pub(crate) status: Option<&'a ChildStatus>,
}

impl Standing<'_> {
    fn is(&self, kind: ConditionType) -> bool {
        self.status.is_some_and(|status| {
            status.observed_generation == self.generation && kind.holds(&status.conditions)
        })
    }
}

/// Reason of a condition: something is held.
pub(super) const HELD: &str = "Held";
/// Hex digits of a digest that a status notes.
const DIGITS: usize = 16;

impl Outcome {
    /// Notes what the plan was made from (`None`: read it again) and what its children are.
    pub(crate) fn digests(&mut self, inputs: Option<&Digest>, children: &Digest) {
        self.inputs = inputs.map(|digest| digest.first(DIGITS).to_owned());
        self.children = Some(children.first(DIGITS).to_owned());
    }

    /// Whether it was made from these inputs, and these children are the ones that it left.
    pub(crate) fn is_of(&self, inputs: &Digest, children: &Digest) -> bool {
        self.inputs.as_deref() == Some(inputs.first(DIGITS)) && self.stands(children)
    }

    /// Whether these children are the ones that it left.
    pub(crate) fn stands(&self, children: &Digest) -> bool {
        self.children.as_deref() == Some(children.first(DIGITS))
    }

    /// What a status says of the last run, before a restart. `None` where it does not say enough.
    pub(crate) fn noted(status: &EnvironmentStatus) -> Option<Self> {
        let disabled = ConditionType::Disabled.of(&status.conditions);
        let reason = disabled.filter(|c| c.status == ConditionStatus::True.name()).map(|c| c.reason.as_str());
        let reasons = [Why::DisabledByProject, Why::DisabledByOperator, Why::Withdrawn];
        let held = ConditionType::Applied.of(&status.conditions).filter(|c| c.reason == HELD);
        Some(Self {
            revision: status.attempted.as_ref().map(Revision::from).unwrap_or_default(),
            inputs: Some(status.inputs_digest.clone()?),
            children: Some(status.plan_digest.clone()?),
            credentials: status.credentials_made,
            findings: (status.findings.clone(), status.finding_count),
            held: held.map(|c| c.message.clone()).into_iter().collect(),
            removed: reasons.into_iter().find(|why| Some(why.name()) == reason),
            stalled: None,
        })
    }

    /// What was known of an environment before a run, which goes on to hold where the run breaks off. To be read anew.
    pub(crate) fn before(status: Option<&EnvironmentStatus>) -> Self {
        let status = status.cloned().unwrap_or_default();
        Self {
            revision: status.attempted.as_ref().map(Revision::from).unwrap_or_default(),
            credentials: status.credentials_made,
            findings: (status.findings, status.finding_count),
            ..Self::default()
        }
    }

    /// Notes what failed, before what the plan holds: a status has room for so much.
    pub(crate) fn failed(&mut self, errors: &[ProducerError]) {
        self.held.splice(0..0, errors.iter().map(|error| with_causes(error)));
    }

    /// Takes findings and holds from a plan.
    pub(crate) fn planned(mut self, plan: &Plan) -> Self {
        self.findings = report(&plan.findings);
        self.held = held(plan);
        self.removed = removed(plan);
        self
    }
}

/// Findings as a status carries them: the first 32 in order, each cut, and the count of all.
fn report(findings: &[Finding]) -> (Vec<String>, u32) {
    (findings.iter().take(MAX_REPORTED_FINDINGS).map(Finding::line).collect(), count(findings.len()))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn held(plan: &Plan) -> Vec<String> {
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let all = workspace.held().chain(gateways.held()).chain(functions.held());
    all.map(|(name, why)| format!("{name}: {why}")).collect()
}

fn removed(plan: &Plan) -> Option<Why> {
    let why = plan.workspace.complete.as_ref()?.why();
    match why {
        Why::NotInProject => None,
        Why::DisabledByProject | Why::DisabledByOperator | Why::Withdrawn => Some(why),
    }
}

/// The status of one environment: the old one with what is known now. Equal where nothing changed.
pub(crate) fn environment(
    old: &EnvironmentStatus,
    outcome: &Outcome,
    children: &[Standing<'_>],
    as_planned: bool,
    now: Timestamp,
) -> EnvironmentStatus {
    let mut new = old.clone();
    new.attempted = Some(RevisionStatus::from(&outcome.revision));
    new.credentials_made |= outcome.credentials;
    (new.findings, new.finding_count) = outcome.findings.clone();
    new.plan_digest.clone_from(&outcome.children);
    new.inputs_digest.clone_from(&outcome.inputs);
    let gateways = children.iter().filter(|child| child.gateway);
    let standing = gateways.clone().filter(|child| child.is(ConditionType::Applied)).count();
    new.gateways = format!("{standing}/{}", gateways.count());
    let applied = as_planned && children.iter().all(|child| child.is(ConditionType::Applied));
    if applied && outcome.held.is_empty() && outcome.stalled.is_none() {
        new.applied = new.attempted.clone();
    }
    for condition in conditions(outcome, children, applied) {
        set_condition(&mut new.conditions, condition, now);
    }
    new
}

fn conditions(outcome: &Outcome, children: &[Standing<'_>], applied: bool) -> [Condition; 5] {
    use ConditionStatus::{False, True};
    use ConditionType::{Applied, Disabled, Ready, Reconciling, Stalled};
    let of = |kind, holds: bool, yes: (&str, &str), no: (&str, &str)| {
        let (status, (reason, message)) = if holds { (True, yes) } else { (False, no) };
        condition(kind, status, reason, message)
    };
    let held = outcome.held.join("; ");
    let held: String = held.chars().take(1000).collect();
    let (stalled, stall) = match &outcome.stalled {
        Some((reason, message)) => (true, (*reason, message.as_str())),
        None => (false, ("Stalled", "")),
    };
    let complete = applied && outcome.held.is_empty() && !stalled;
    let not_applied = if stalled {
        stall
    } else if outcome.held.is_empty() {
        ("InProgress", "objects are being applied")
    } else {
        (HELD, held.as_str())
    };
    let ready = complete && children.iter().all(|child| child.is(Ready));
    let removed = outcome.removed.map_or(("Enabled", ""), |why| (why.name(), why.words()));
    [
        of(Applied, complete, ("Applied", "every object of the attempted revision stands"), not_applied),
        of(Ready, ready, ("Ready", "every pod serves"), ("NotReady", "not every pod serves")),
        of(Reconciling, !complete && !stalled, not_applied, ("Settled", "")),
        of(Stalled, stalled, stall, ("NotStalled", "")),
        of(Disabled, outcome.removed.is_some(), removed, removed),
    ]
}

/// Whether a status says something that should not wait for the children's reports.
pub(crate) fn notable(outcome: &Outcome) -> bool {
    outcome.stalled.is_some() || !outcome.held.is_empty() || outcome.removed.is_some()
}

/// Whether two statuses differ in nothing but the revisions of a commit that had no effect.
pub(crate) fn same_effect(old: &LBProducerStatus, new: &LBProducerStatus) -> bool {
    let without = |status: &LBProducerStatus| {
        let mut status = status.clone();
        for environment in status.environments.values_mut() {
            environment.attempted = None;
            environment.applied = None;
            environment.inputs_digest = None;
        }
        status
    };
    without(old) == without(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(generation: i64) -> ChildStatus {
        let mut status = ChildStatus { observed_generation: Some(generation), ..ChildStatus::default() };
        let standing = condition(ConditionType::Applied, ConditionStatus::True, "Applied", "");
        set_condition(&mut status.conditions, standing, Timestamp(0));
        status
    }

    fn says(status: &EnvironmentStatus, kind: ConditionType) -> &str {
        &kind.of(&status.conditions).unwrap().status
    }

    #[test]
    fn applied_means_that_every_child_stands_at_its_newest_generation() {
        let status = applied(2);
        let outcome = Outcome::default();
        let child =
            |generation| Standing { gateway: true, generation: Some(generation), status: Some(&status) };
        let of = |children: &[Standing<'_>], as_planned| {
            environment(&EnvironmentStatus::default(), &outcome, children, as_planned, Timestamp(5000))
        };
        assert_eq!(says(&of(&[child(2)], true), ConditionType::Applied), "True");
        assert_eq!(of(&[child(2), child(3)], true).gateways, "1/2");
        assert_eq!(says(&of(&[child(2), child(3)], true), ConditionType::Applied), "False");
        assert_eq!(
            says(&of(&[child(2)], false), ConditionType::Applied),
            "False",
            "a child is still to come or to go"
        );
        assert_eq!(says(&of(&[child(2)], true), ConditionType::Ready), "False");
    }

    #[test]
    fn what_is_held_is_not_applied_and_keeps_the_revision_that_stands() {
        let old = EnvironmentStatus {
            applied: Some(RevisionStatus { dev: Some("1".repeat(40)), ..RevisionStatus::default() }),
            ..EnvironmentStatus::default()
        };
        let outcome = Outcome { held: vec!["al-dev-main: git-api is silent".into()], ..Outcome::default() };
        let new = environment(&old, &outcome, &[], true, Timestamp(0));
        assert_eq!(new.applied, old.applied);
        let applied = ConditionType::Applied.of(&new.conditions).unwrap();
        assert_eq!((applied.status.as_str(), applied.reason.as_str()), ("False", "Held"));
        assert!(applied.message.contains("silent"));
    }

    #[test]
    fn the_same_outcome_gives_the_same_status() {
        let outcome = Outcome::default();
        let once = environment(&EnvironmentStatus::default(), &outcome, &[], true, Timestamp(1000));
        assert_eq!(environment(&once, &outcome, &[], true, Timestamp(9000)), once);
    }
}
