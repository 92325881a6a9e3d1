//! Events: what turned in a status, for `kubectl describe`.

use lb_cluster::{Custom, Events, Tone};
use lb_desired::crd::{Condition, ConditionType};

/// Reasons of an `Applied` that is on its way to be true.
const UNDER_WAY: [&str; 3] = ["InProgress", "Waiting", "Removing"];

/// Notes an Event for each condition that turned. What is under way is none: it turns with every push.
pub(crate) fn announce<K: Custom>(events: &Events, object: &K, old: &[Condition], new: &[Condition]) {
    for condition in new {
        let before = old.iter().find(|before| before.type_ == condition.type_);
        if let Some(tone) = tone(before, condition) {
            let message = if condition.message.is_empty() { &condition.type_ } else { &condition.message };
            events.note(object, tone, &condition.reason, message);
        }
    }
}

/// How a condition that turned is shown; `None`: it did not, or nobody needs to be told.
fn tone(before: Option<&Condition>, now: &Condition) -> Option<Tone> {
    let is = |kind: ConditionType| now.type_ == kind.name();
    let holds = now.status == "True";
    let turned = before.map_or(holds, |before| before.status != now.status);
    let bad = if is(ConditionType::Applied) {
        now.status == "False" && !UNDER_WAY.contains(&now.reason.as_str())
    } else {
        holds && (is(ConditionType::Stalled) || is(ConditionType::Missing) || is(ConditionType::Withdrawn))
    };
    if bad {
        let same =
            before.is_some_and(|before| (&before.status, &before.reason) == (&now.status, &now.reason));
        return (!same).then_some(Tone::Warning);
    }
    let good = is(ConditionType::Applied) && holds || is(ConditionType::Disabled);
    (turned && good).then_some(Tone::Normal)
}

#[cfg(test)]
mod tests {
    use lb_desired::crd::{ConditionStatus, condition};

    use super::*;

    #[test]
    fn what_turns_is_told_once_and_what_is_under_way_is_not() {
        use ConditionStatus::{False, True};
        use ConditionType::{Applied, Disabled, Ready, Stalled};
        let of = |kind, status, reason| condition(kind, status, reason, "");
        let applied = of(Applied, True, "Applied");
        let (held, foreign) = (of(Applied, False, "Held"), of(Applied, False, "Foreign"));
        let under_way = of(Applied, False, "InProgress");
        for (before, now, expected) in [
            (None, &applied, Some(Tone::Normal)),
            (Some(&applied), &applied, None),
            (Some(&applied), &under_way, None),
            (None, &under_way, None),
            (Some(&under_way), &applied, Some(Tone::Normal)),
            (None, &held, Some(Tone::Warning)),
            (Some(&under_way), &held, Some(Tone::Warning)),
            (Some(&held), &held, None),
            (Some(&held), &foreign, Some(Tone::Warning)),
            (None, &of(Stalled, True, "CredentialsLost"), Some(Tone::Warning)),
            (Some(&of(Stalled, True, "CredentialsLost")), &of(Stalled, False, "NotStalled"), None),
            (None, &of(Disabled, False, "Enabled"), None),
            (Some(&of(Disabled, False, "Enabled")), &of(Disabled, True, "Withdrawn"), Some(Tone::Normal)),
            (Some(&of(Disabled, True, "Withdrawn")), &of(Disabled, False, "Enabled"), Some(Tone::Normal)),
            (None, &of(Ready, True, "Ready"), None),
        ] {
            assert_eq!(tone(before, now), expected, "{before:?} -> {now:?}");
        }
    }
}
