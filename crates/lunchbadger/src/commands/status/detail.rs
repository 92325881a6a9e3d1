//! One producer in detail.

use anyhow::Result;
use lb_desired::crd::{Condition, ConditionType, EnvironmentStatus, LBProducer, RevisionStatus};

use super::{Child, environments, of, short, state};
use crate::screen::{Screen, Table, printable};

/// Shows a producer with its environments and children.
pub(super) fn show(producer: &LBProducer, children: &[Child], screen: &mut Screen) -> Result<()> {
    let name = producer.metadata.name.as_deref().unwrap_or_default();
    screen.line(format!("producer {name}"))?;
    let conditions = producer.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    screen.text(&table(conditions))?;
    for (environment, status) in environments(producer) {
        screen.line("")?;
        screen.line(printable(&format!("environment {environment}: {}", state(producer, &status))))?;
        about(&status, screen)?;
        let of_environment = |child: &&Child| child.text("environment") == environment;
        let children: Vec<&Child> = children.iter().filter(of_environment).collect();
        if !children.is_empty() {
            screen.line("")?;
            screen.text(&table_of_children(&children))?;
        }
        for finding in &status.findings {
            screen.line(printable(finding))?;
        }
    }
    Ok(())
}

fn about(status: &EnvironmentStatus, screen: &mut Screen) -> Result<()> {
    if let Some(attempted) = &status.attempted {
        screen.line(format!("  attempted  {}", revision(attempted)))?;
    }
    if let Some(applied) = &status.applied {
        screen.line(format!("  applied    {}", revision(applied)))?;
    }
    if !status.gateways.is_empty() {
        screen.line(format!("  gateways   {}", printable(&status.gateways)))?;
    }
    if status.finding_count > 0 {
        screen.line(format!("  findings   {}", status.finding_count))?;
    }
    screen.text(&table(&status.conditions))
}

fn revision(revision: &RevisionStatus) -> String {
    let RevisionStatus { dev, functions, openapi } = revision;
    let part = |name: &str, commit: &Option<String>| {
        commit.as_deref().map(|commit| format!("{name} {}", short(Some(commit))))
    };
    let parts = [part("dev", dev), part("functions", functions), part("openapi", openapi)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing is in git".to_owned() } else { printable(&parts.join(", ")) }
}

fn table(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["  CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"]);
    for condition in conditions {
        let Condition { type_, status, reason, message, last_transition_time, observed_generation: _ } =
            condition;
        table.row([&format!("  {type_}"), status, &last_transition_time.0.to_string(), reason, message]);
    }
    table.render()
}

fn table_of_children(children: &[&Child]) -> String {
    let mut table = Table::new(&["  CHILD", "APPLIED", "READY", "OBJECTS", "MESSAGE"]);
    for child in children {
        let conditions = &child.status.conditions;
        let trouble = [ConditionType::Stalled, ConditionType::Applied, ConditionType::Ready]
            .into_iter()
            .find_map(|kind| {
                let good = kind != ConditionType::Stalled;
                let condition = kind.of(conditions)?;
                ((condition.status == "True") != good).then_some(condition.message.as_str())
            });
        let message = trouble.or(child.status.findings.first().map(String::as_str)).unwrap_or_default();
        table.row([
            &format!("  {}", child.title()),
            of(conditions, ConditionType::Applied),
            of(conditions, ConditionType::Ready),
            &child.status.objects,
            message,
        ]);
    }
    table.render()
}
