//! Functions: one child per service of the `functions` repository.

use std::collections::BTreeSet;

use lb_project::{Broken, Entity, Function, Trigger};
use lb_vocab::{CommitId, Finding, Source, label_id};

use super::{Component, Decision, ExistingFunction, Input, Why};
use crate::build::names::{ServiceName, function_child, function_name};
use crate::crd::{FunctionTrigger, LBFunctionSpec};

/// Longest name of a Kubernetes Service.
const MAX_SERVICE_NAME: usize = 63;

/// The functions of a producer that runs.
pub(super) struct Functions<'a> {
    /// What to do about each.
    pub(super) component: Component<LBFunctionSpec>,
    /// Those that have a child, for the gateways in front of them.
    pub(super) deployed: Vec<&'a Function>,
}

/// Decides about every function.
pub(super) fn plan<'a>(input: &Input<'a>, findings: &mut Vec<Finding>) -> Functions<'a> {
    let (entities, commit) = match &input.decoded.functions {
        Source::Unknown(reason) => {
            let component = Component::all_held(
                standing(input),
                &format!("the functions repository is unknown: {reason}"),
            );
            return Functions { component, deployed: Vec::new() };
        }
        Source::Absent(_) => (&[][..], None),
        Source::Known(entities, commit) => (&entities[..], Some(commit)),
    };
    let mut component = Component::empty();
    let mut deployed = Vec::new();
    let mut broken = Vec::new();
    for entity in entities {
        match entity {
            Entity::Broken(entity) => broken.push(entity),
            Entity::Read(function) => {
                let name = match checked_name(input, function, &component) {
                    Ok(name) => name,
                    Err(finding) => {
                        findings.push(finding);
                        continue;
                    }
                };
                findings.extend(foreign_namespace(input, function));
                component.children.insert(name, decision(input, function, commit, findings));
                deployed.push(function);
            }
        }
    }
    settle(input, &mut component, &broken);
    Functions { component, deployed }
}

/// Holds what may be a function that cannot be read; the rest of what stands and is not decided yet goes.
fn settle(input: &Input<'_>, component: &mut Component<LBFunctionSpec>, broken: &[&Broken]) {
    let mut ambiguous = false;
    for entity in broken {
        let mut found = false;
        for child in candidates(input, entity) {
            let name = child_name(input, &child.service);
            // One that is deployed from elsewhere is not what cannot be read, unless both have its name.
            found |= !matches!(component.children.get(&name), Some(Decision::Deploy(_)))
                || entity.name.as_ref() == Some(&child.service);
            let reason = || Decision::Hold(format!("{}: the function cannot be read", entity.place));
            component.children.entry(name).or_insert_with(reason);
        }
        ambiguous |= !found;
    }
    let standing: BTreeSet<String> =
        standing(input).filter(|name| !component.children.contains_key(name)).collect();
    if ambiguous && !standing.is_empty() {
        for name in standing {
            component.hold(name, "it may be the function that cannot be read".to_owned());
        }
    } else {
        component.withdraw_rest(standing, Why::NotInProject);
    }
}

/// The children that stand and may be this entity: the one of its name, else all that came from its file, which may
/// have had several functions, of whatever names.
fn candidates<'a>(input: &Input<'a>, entity: &Broken) -> Vec<&'a ExistingFunction> {
    let standing = &input.existing.functions;
    let named = standing.iter().filter(|child| entity.name.as_ref() == Some(&child.service));
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        return named;
    }
    let directory = entity.place.file.split('/').nth(1);
    standing.iter().filter(|child| directory == Some(child.path.as_str())).collect()
}

/// Of a function without a runtime, which has its finding already, or with a text that its child has no room for,
/// that stays what stands.
fn decision(
    input: &Input<'_>,
    function: &Function,
    commit: Option<&CommitId>,
    findings: &mut Vec<Finding>,
) -> Decision<LBFunctionSpec> {
    if function.runtime.0.is_empty() {
        return Decision::Hold(format!("{}: it has no runtime", function.place));
    }
    let spec = spec(input, function, commit, findings);
    let Some(excess) = spec.excess() else { return Decision::Deploy(spec) };
    findings.push(Finding::error("FunctionTooLong", function.place.clone(), excess.clone()));
    Decision::Hold(format!("{}: {excess}", function.place))
}

/// The finding on a namespace that is not the one in which the function stands.
fn foreign_namespace(input: &Input<'_>, function: &Function) -> Option<Finding> {
    let own = input.settings.namespace(input.producer.name());
    let (_, place) = function.namespace.as_ref().filter(|(namespace, _)| *namespace != own)?;
    let text = format!("`provider.namespace` has no effect, the platform has chosen `{own}`: remove it");
    Some(Finding::warning("ForeignNamespace", place.clone(), text))
}

/// Names of the children that stand.
pub(super) fn standing(input: &Input<'_>) -> impl Iterator<Item = String> {
    input.existing.functions.iter().map(|child| child_name(input, &child.service))
}

/// The child of a service that stands, whose name is known to be good.
fn child_name(input: &Input<'_>, service: &str) -> String {
    format!("{}-{service}", input.producer)
}

/// The child of a function, or why it is not deployed.
fn checked_name(
    input: &Input<'_>,
    function: &Function,
    component: &Component<LBFunctionSpec>,
) -> Result<String, Finding> {
    let refuse =
        |code, text: String| Finding::error(code, function.place.clone(), text + ": it is not deployed");
    let service: ServiceName =
        function.service.parse().map_err(|error| refuse("FunctionName", format!("{error}")))?;
    let objects = function_name(input.producer, &service);
    if objects.len() > MAX_SERVICE_NAME {
        let text =
            format!("`{objects}` has more than {MAX_SERVICE_NAME} characters: shorten the service's name");
        return Err(refuse("FunctionName", text));
    }
    let name = function_child(input.producer, &service);
    if input.existing.taken.contains(&name) {
        let text = format!(
            "`{objects}` is another producer's function: rename the service, or wait for that one to go"
        );
        return Err(refuse("FunctionNameTaken", text));
    }
    if component.children.contains_key(&name) {
        return Err(refuse(
            "FunctionTaken",
            format!("another function has the service `{service}`: give it its own directory and service"),
        ));
    }
    Ok(name)
}

fn spec(
    input: &Input<'_>,
    function: &Function,
    commit: Option<&CommitId>,
    findings: &mut Vec<Finding>,
) -> LBFunctionSpec {
    let id = function.lunchbadger_id.as_deref().map_or_else(String::new, |id| {
        let (label, replaced) = label_id(id);
        if replaced {
            findings.push(super::replaced_id(&function.place, &label));
        }
        label
    });
    // A commit that did not touch the function keeps the commit that did: nothing changed, nothing is written.
    let unchanged = input
        .existing
        .functions
        .iter()
        .find(|child| child.service == function.service && child.digest == function.digest.as_str());
    LBFunctionSpec {
        producer: input.producer.name().to_string(),
        environment: input.producer.environment().to_string(),
        service: function.service.clone(),
        id,
        commit: unchanged
            .map(|child| child.commit.clone())
            .or_else(|| commit.map(ToString::to_string))
            .unwrap_or_default(),
        path: function.directory.clone(),
        digest: function.digest.to_string(),
        runtime: format!("{}:{}", function.runtime.0, function.runtime.1),
        handler: function.handler.clone(),
        triggers: function.triggers.iter().map(trigger).collect(),
    }
}

fn trigger(trigger: &Trigger) -> FunctionTrigger {
    let empty = FunctionTrigger::default();
    match trigger {
        Trigger::Http { path } => FunctionTrigger { http: Some(path.clone()), ..empty },
        Trigger::Schedule { cron } => FunctionTrigger { schedule: Some(cron.clone()), ..empty },
        Trigger::Topic { name } => FunctionTrigger { topic: Some(name.clone()), ..empty },
    }
}
