//! Conditions, as every status carries them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1;
use lb_vocab::Timestamp;

/// A condition, with the fields of the Kubernetes API conventions.
pub type Condition = v1::Condition;

/// The types of condition that our resources have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The objects of the attempted revision stand.
    Applied,
    /// Their pods serve.
    Ready,
    /// Work is under way, or waits to be tried again.
    Reconciling,
    /// It does not go on without a change from outside.
    Stalled,
    /// The producer was absent from the last full roster.
    Missing,
    /// The roster says that the producer is gone, and its objects are removed.
    Withdrawn,
    /// The producer is switched off, by its project or by the operator.
    Disabled,
    /// The operator asked us to touch nothing.
    Suspended,
}

impl ConditionType {
    /// The type's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "Applied",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Missing => "Missing",
            Self::Withdrawn => "Withdrawn",
            Self::Disabled => "Disabled",
            Self::Suspended => "Suspended",
        }
    }
}

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nothing can be said.
    Unknown,
}

impl ConditionStatus {
    /// The status's text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition without a time of transition; [`set_condition`] sets it.
#[must_use]
pub fn condition(kind: ConditionType, status: ConditionStatus, reason: &str, message: &str) -> Condition {
    Condition {
        type_: kind.name().to_owned(),
        status: status.name().to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH),
        observed_generation: None,
    }
}

/// Puts a condition into a list that is sorted by type. The time of transition moves only where the status changes,
/// so that nothing is written when nothing changed. Answers whether the status changed.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition, now: Timestamp) -> bool {
    let seconds = i64::try_from(now.seconds()).unwrap_or(i64::MAX);
    let now = v1::Time(k8s_openapi::jiff::Timestamp::from_second(seconds).unwrap_or_default());
    match conditions.binary_search_by(|old| old.type_.cmp(&new.type_)) {
        Ok(at) => {
            let changed = conditions[at].status != new.status;
            new.last_transition_time =
                if changed { now } else { conditions[at].last_transition_time.clone() };
            conditions[at] = new;
            changed
        }
        Err(at) => {
            new.last_transition_time = now;
            conditions.insert(at, new);
            true
        }
    }
}
