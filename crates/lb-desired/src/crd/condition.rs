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

    /// The condition of this type.
    #[must_use]
    pub fn of(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions.iter().find(|condition| condition.type_ == self.name())
    }

    /// Whether the condition of this type is true.
    #[must_use]
    pub fn holds(self, conditions: &[Condition]) -> bool {
        self.of(conditions).is_some_and(|condition| condition.status == ConditionStatus::True.name())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1000)
    }

    #[test]
    fn conditions_are_sorted_and_move_their_time_only_with_their_status() {
        let mut conditions = Vec::new();
        let ready = |status, reason| condition(ConditionType::Ready, status, reason, "");
        assert!(set_condition(&mut conditions, ready(ConditionStatus::False, "Starting"), at(1)));
        let applied = condition(ConditionType::Applied, ConditionStatus::True, "Applied", "");
        assert!(set_condition(&mut conditions, applied, at(2)));
        assert!(!set_condition(&mut conditions, ready(ConditionStatus::False, "Waiting"), at(3)));
        let seen = |conditions: &[Condition]| {
            let seconds = |condition: &Condition| condition.last_transition_time.0.as_second();
            conditions.iter().map(|c| (c.type_.clone(), c.reason.clone(), seconds(c))).collect::<Vec<_>>()
        };
        let row = |kind: &str, reason: &str, seconds| (kind.to_owned(), reason.to_owned(), seconds);
        assert_eq!(seen(&conditions), [row("Applied", "Applied", 2), row("Ready", "Waiting", 1)]);
        assert!(!ConditionType::Ready.holds(&conditions));
        assert!(set_condition(&mut conditions, ready(ConditionStatus::True, "Serving"), at(4)));
        assert!(ConditionType::Ready.holds(&conditions) && !ConditionType::Stalled.holds(&conditions));
        assert_eq!(seen(&conditions), [row("Applied", "Applied", 2), row("Ready", "Serving", 4)]);
    }
}
