//! What a push changes, in lines for the person who pushed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Component, Decision, GatewayPlan, Plan};

/// Lines that [`changes`] answers at most; one more says how many there would be.
pub const MAX_CHANGES: usize = 40;
/// Characters of one line at most.
const MAX_LINE: usize = 160;

/// What `new` does otherwise than `old`, in words: `+ gateway edge`, `gateway main: + route /cars`,
/// `workspace: disabled by project`. Empty where nothing changes; at most [`MAX_CHANGES`] lines and one that counts
/// the rest. Control characters of a producer's text are replaced, so that a name cannot forge a line.
#[must_use]
pub fn changes(old: &Plan, new: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = stop(old, new) {
        lines.push(format!("everything is removed but credentials: {why}"));
    } else {
        component(
            &mut lines,
            "workspace",
            &old.workspace,
            &new.workspace,
            |_| None,
            |a, b| {
                if a == b { Vec::new() } else { vec!["~ restarts for the new commit".to_owned()] }
            },
        );
        component(
            &mut lines,
            "gateway",
            &old.gateways,
            &new.gateways,
            |plan| Some(&plan.spec.instance),
            gateway,
        );
        component(
            &mut lines,
            "function",
            &old.functions,
            &new.functions,
            |spec| Some(&spec.service),
            |a, b| {
                // The commit says when the function changed last, not what it is.
                let (mut a, mut b) = (a.clone(), b.clone());
                a.commit.clear();
                b.commit.clear();
                if a == b { Vec::new() } else { vec!["~ changed".to_owned()] }
            },
        );
    }
    let rest = lines.len().saturating_sub(MAX_CHANGES);
    lines.truncate(MAX_CHANGES);
    if rest > 0 {
        lines.push(format!("and {rest} more"));
    }
    lines.iter().map(|line| printable(line)).collect()
}

/// Why the producer is switched off by this change, where it is.
fn stop(old: &Plan, new: &Plan) -> Option<&'static str> {
    let removed = |plan: &Plan| plan.workspace.children.values().any(|d| matches!(d, Decision::Withdraw(_)));
    (removed(new) && !removed(old))
        .then(|| new.workspace.complete.as_ref().map(|complete| complete.why().words()))
        .flatten()
}

fn component<T>(
    lines: &mut Vec<String>,
    kind: &str,
    old: &Component<T>,
    new: &Component<T>,
    title: impl Fn(&T) -> Option<&String>,
    details: impl Fn(&T, &T) -> Vec<String>,
) {
    let label = |name: &str, child: Option<&T>| match child.map(&title) {
        Some(Some(title)) => format!("{kind} {title}"),
        Some(None) => kind.to_owned(),
        None => format!("{kind} {name}"),
    };
    let names: BTreeSet<&String> = old.children.keys().chain(new.children.keys()).collect();
    for name in names {
        let (before, after) = (old.children.get(name), new.children.get(name));
        let known = deployed(after).or(deployed(before));
        let label = label(name, known);
        match (deployed(before), after) {
            (None, Some(Decision::Deploy(_))) => lines.push(format!("+ {label}")),
            (Some(before), Some(Decision::Deploy(after))) => {
                lines.extend(details(before, after).into_iter().map(|detail| format!("{label}: {detail}")));
            }
            (_, Some(Decision::Hold(why))) if !matches!(before, Some(Decision::Hold(old)) if old == why) => {
                lines.push(format!("{label}: stays as it is: {why}"));
            }
            (Some(_), Some(Decision::Withdraw(_)) | None) if new.complete.is_some() => {
                lines.push(format!("- {label}"));
            }
            (Some(_), None) => lines.push(format!("{label}: stays as it is: something about it is unknown")),
            (Some(_) | None, Some(Decision::Hold(_) | Decision::Withdraw(_)) | None) => {}
        }
    }
}

fn deployed<T>(decision: Option<&Decision<T>>) -> Option<&T> {
    match decision {
        Some(Decision::Deploy(child)) => Some(child),
        Some(Decision::Hold(_) | Decision::Withdraw(_)) | None => None,
    }
}

/// The difference of two gateways: routes and policies that come and go, else that something else changed.
fn gateway(old: &GatewayPlan, new: &GatewayPlan) -> Vec<String> {
    let count = |facts: &[String]| {
        facts.iter().fold(BTreeMap::<String, usize>::new(), |mut counts, fact| {
            *counts.entry(fact.clone()).or_default() += 1;
            counts
        })
    };
    let (before, after) = (count(&old.facts), count(&new.facts));
    let more = |a: &BTreeMap<String, usize>, fact: &String, n: usize| a.get(fact).copied().unwrap_or(0) < n;
    let added =
        after.iter().filter(|(fact, n)| more(&before, fact, **n)).map(|(fact, _)| format!("+ {fact}"));
    let gone = before.iter().filter(|(fact, n)| more(&after, fact, **n)).map(|(fact, _)| format!("- {fact}"));
    let mut lines: Vec<String> = added.chain(gone).collect();
    if lines.is_empty() && old.spec != new.spec {
        lines.push("~ configuration".to_owned());
    }
    lines
}

fn printable(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.chars().count() <= MAX_LINE {
        line
    } else {
        line.chars().take(MAX_LINE - 1).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use lb_vocab::Digest;

    use super::{MAX_CHANGES, changes, printable};
    use crate::plan::{Component, Decision, Plan, Why};

    fn plan(functions: usize, complete: bool) -> Plan {
        let mut plan = Plan {
            workspace: Component::empty(),
            gateways: Component::empty(),
            functions: Component::empty(),
            findings: Vec::new(),
            digest: Digest::of(b""),
        };
        for at in 0..functions {
            let spec = crate::crd::LBFunctionSpec {
                producer: "al".into(),
                environment: "dev".into(),
                service: format!("f{at}"),
                id: String::new(),
                commit: at.to_string(),
                path: String::new(),
                digest: String::new(),
                runtime: String::new(),
                handler: String::new(),
                triggers: Vec::new(),
            };
            plan.functions.children.insert(format!("al-dev-f{at:03}"), Decision::Deploy(spec));
        }
        if complete {
            plan.functions.withdraw_rest([], Why::NotInProject);
        }
        plan
    }

    #[test]
    fn lines_are_bounded_and_the_rest_is_counted() {
        let lines = changes(&plan(0, true), &plan(MAX_CHANGES + 5, true));
        assert_eq!((lines.len(), lines[MAX_CHANGES].as_str()), (MAX_CHANGES + 1, "and 5 more"));
        assert_eq!(changes(&plan(0, true), &plan(MAX_CHANGES, true)).len(), MAX_CHANGES);
    }

    #[test]
    fn what_is_not_listed_goes_only_where_everything_is_known() {
        assert_eq!(changes(&plan(1, true), &plan(0, true)), ["- function f0"]);
        assert_eq!(
            changes(&plan(1, true), &plan(0, false)),
            ["function f0: stays as it is: something about it is unknown"]
        );
        let mut held = plan(0, true);
        held.functions.hold("al-dev-f000".into(), "why".into());
        assert_eq!(changes(&plan(1, true), &held), ["function f0: stays as it is: why"]);
        assert!(changes(&held, &held).is_empty());
    }

    #[test]
    fn another_commit_alone_is_no_change_and_another_handler_is() {
        let (old, mut new) = (plan(1, true), plan(1, true));
        let Some(Decision::Deploy(spec)) = new.functions.children.get_mut("al-dev-f000") else { panic!() };
        spec.commit = "other".into();
        assert!(changes(&old, &new).is_empty());
        let Some(Decision::Deploy(spec)) = new.functions.children.get_mut("al-dev-f000") else { panic!() };
        spec.handler = "other".into();
        assert_eq!(changes(&old, &new), ["function f0: ~ changed"]);
    }

    #[test]
    fn a_name_cannot_forge_a_line() {
        assert_eq!(printable("a\nremote: ok\u{1b}[0m"), "a\u{fffd}remote: ok\u{fffd}[0m");
        assert_eq!(printable(&"é".repeat(161)).chars().count(), 160);
        assert_eq!(printable(&"é".repeat(160)), "é".repeat(160));
    }
}
