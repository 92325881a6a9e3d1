//! Plan: what was decoded -> one decision per component. After it no meaningful choice is left.
//!
//! **Unknown is not empty**: a component is held whenever something it is made of is unknown, and only a component
//! whose sources are all known (or proven absent) gets a [`Complete`], without which nothing of its kind is pruned.

mod changes;
mod function;
mod gateway;
mod producer;
mod workspace;

use std::collections::{BTreeMap, BTreeSet};

use lb_project::Decoded;
use lb_vocab::{Digest, Finding, InstanceName, Place, Producer, Secret, Timestamp};
use serde::Serialize;

use crate::build::names::{gateway_child, workspace_child};
use crate::crd::{Access, LBFunctionSpec, LBGatewaySpec, LBWorkspaceSpec};
use crate::settings::Settings;

pub use changes::{MAX_CHANGES, changes};
use producer::Verdict;

/// Everything that a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Whose plan it is.
    pub producer: &'a Producer,
    /// What git says.
    pub decoded: &'a Decoded,
    /// What the operator says.
    pub access: Access,
    /// What the roster says.
    pub presence: Presence,
    /// Children that stand.
    pub existing: &'a Existing,
    /// What the platform says.
    pub settings: &'a Settings,
}

/// Whether the producer is (still) one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has its git user with both repositories.
    Present,
    /// The roster says that it is gone; the grace is over.
    Withdrawn,
}

/// Children that stand already: names stay with the oldest, of whatever producer, and commits with the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Gateways.
    pub gateways: Vec<ExistingGateway>,
    /// Functions.
    pub functions: Vec<ExistingFunction>,
    /// Names of children that this producer would share with functions of other producers that stand: a service may
    /// have dashes, so that `al` with `dev-x` and `al-dev` with `x` want one name.
    pub taken: BTreeSet<String>,
}

/// A gateway child that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingGateway {
    /// Its instance.
    pub instance: InstanceName,
    /// The id label value of the project's gateway.
    pub id: String,
    /// When it was created.
    pub created: Timestamp,
    /// Its uid, which breaks ties.
    pub uid: String,
}

/// A function child that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingFunction {
    /// The service.
    pub service: String,
    /// The directory that its spec names.
    pub path: String,
    /// The commit that its spec names.
    pub commit: String,
    /// The digest that its spec names.
    pub digest: String,
}

/// What to do about one component.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<T> {
    /// Make it so.
    Deploy(T),
    /// Remove it.
    Withdraw(Why),
    /// Leave it as it is, because something about it is unknown.
    Hold(String),
}

/// Why a component is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The producer's own commit does not have it any more.
    NotInProject,
    /// The producer's own commit says `disabled`.
    DisabledByProject,
    /// The operator's `spec.access` says `Disabled`.
    DisabledByOperator,
    /// The roster says that the producer is gone.
    Withdrawn,
}

/// The permission to prune one kind of child: only [`plan()`] makes one, and only where nothing that the kind is made
/// of is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    why: Why,
}

impl Complete {
    /// Why what is not in the plan goes.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }
}

/// One kind of child: what to do about each, and whether others of the kind may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Component<T> {
    /// Decisions by child name.
    pub children: BTreeMap<String, Decision<T>>,
    /// Children that are not listed may be pruned.
    pub complete: Option<Complete>,
}

/// A gateway to deploy.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayPlan {
    /// The child's spec.
    pub spec: LBGatewaySpec,
    /// The rendered configuration: keys and contents of the Secret that `spec.config` names.
    pub config: BTreeMap<String, Secret>,
    /// Where the gateway stands in git.
    pub place: Place,
    /// Routes and policies in words, for people: `route /cars`, `policy key-auth`.
    pub facts: Vec<String>,
}

/// The plan of one producer's environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Workspace and sls-api; at most one child, named `<producer>-<env>`.
    pub workspace: Component<LBWorkspaceSpec>,
    /// Gateways, the auto gateway among them.
    pub gateways: Component<GatewayPlan>,
    /// Functions.
    pub functions: Component<LBFunctionSpec>,
    /// What the producer should know: decode's findings and the plan's own, sorted.
    pub findings: Vec<Finding>,
    /// Digest over every decision: a commit with an equal one has no effect.
    pub digest: Digest,
}

impl Why {
    /// The reason in words: `disabled by project`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotInProject => "not in the project any more",
            Self::DisabledByProject => "disabled by project",
            Self::DisabledByOperator => "disabled by operator",
            Self::Withdrawn => "the producer is gone",
        }
    }

    /// The variant's name: condition reason and metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotInProject => "NotInProject",
            Self::DisabledByProject => "DisabledByProject",
            Self::DisabledByOperator => "DisabledByOperator",
            Self::Withdrawn => "Withdrawn",
        }
    }
}

impl<T> Component<T> {
    /// Children to deploy, by name.
    pub fn deployed(&self) -> impl Iterator<Item = (&str, &T)> {
        self.children.iter().filter_map(|(name, decision)| match decision {
            Decision::Deploy(child) => Some((name.as_str(), child)),
            Decision::Withdraw(_) | Decision::Hold(_) => None,
        })
    }

    /// Children that go, by name, and why.
    pub fn withdrawn(&self) -> impl Iterator<Item = (&str, Why)> {
        self.children.iter().filter_map(|(name, decision)| match decision {
            Decision::Withdraw(why) => Some((name.as_str(), *why)),
            Decision::Deploy(_) | Decision::Hold(_) => None,
        })
    }

    /// Children that stay as they are, by name, and why.
    pub fn held(&self) -> impl Iterator<Item = (&str, &str)> {
        self.children.iter().filter_map(|(name, decision)| match decision {
            Decision::Hold(why) => Some((name.as_str(), why.as_str())),
            Decision::Deploy(_) | Decision::Withdraw(_) => None,
        })
    }

    /// Nothing decided yet, nothing may be pruned.
    fn empty() -> Self {
        Self { children: BTreeMap::new(), complete: None }
    }

    /// Everything of the kind goes.
    fn all_removed(names: impl IntoIterator<Item = String>, why: Why) -> Self {
        let mut component = Self::empty();
        component.withdraw_rest(names, why);
        component
    }

    /// Nothing of the kind is touched.
    fn all_held(names: impl IntoIterator<Item = String>, reason: &str) -> Self {
        let children = names.into_iter().map(|name| (name, Decision::Hold(reason.to_owned()))).collect();
        Self { children, complete: None }
    }

    /// Holds one child.
    fn hold(&mut self, name: String, reason: String) {
        self.children.insert(name, Decision::Hold(reason));
    }

    /// Everything of the kind is known: what stands and is not decided yet goes.
    fn withdraw_rest(&mut self, standing: impl IntoIterator<Item = String>, why: Why) {
        for name in standing {
            self.children.entry(name).or_insert(Decision::Withdraw(why));
        }
        self.complete = Some(Complete { why });
    }
}

/// Decides about every component of one producer's environment.
///
/// Guarantees: total, never panics, and a function of its input alone. Where a source is unknown, nothing that
/// depends on it is complete. Names that stand stay: removing or adding one gateway never renames another.
///
/// Assumptions: `existing` lists every child of the producer in this environment, or is empty where nobody could
/// have one (offline, or in a preview for the pusher).
#[must_use]
pub fn plan(input: &Input<'_>) -> Plan {
    let mut findings = input.decoded.findings.clone();
    let workspace = || [workspace_child(input.producer)];
    let gateways =
        || input.existing.gateways.iter().map(|child| gateway_child(input.producer, &child.instance));
    let functions = || function::standing(input);
    let (workspace, gateways, functions) = match producer::verdict(input) {
        Verdict::Remove(why) => (
            Component::all_removed(workspace(), why),
            Component::all_removed(gateways(), why),
            Component::all_removed(functions(), why),
        ),
        Verdict::Unknown(reason) => (
            Component::all_held(workspace(), &reason),
            Component::all_held(gateways(), &reason),
            Component::all_held(functions(), &reason),
        ),
        Verdict::Run => {
            let functions = function::plan(input, &mut findings);
            let gateways = gateway::plan(input, &functions.deployed, &mut findings);
            (workspace::plan(input), gateways, functions.component)
        }
    };
    findings.sort();
    findings.dedup();
    let digest = digest(&workspace, &gateways, &functions);
    Plan { workspace, gateways, functions, findings, digest }
}

/// Digest over every decision. Reasons in words do not count, and neither does what goes because it is not listed:
/// otherwise a plan would differ from itself once it was carried out.
fn digest(
    workspace: &Component<LBWorkspaceSpec>,
    gateways: &Component<GatewayPlan>,
    functions: &Component<LBFunctionSpec>,
) -> Digest {
    let mut parts = Vec::new();
    decisions(&mut parts, "workspace", workspace, |spec| spec);
    decisions(&mut parts, "gateway", gateways, |plan| &plan.spec);
    decisions(&mut parts, "function", functions, |spec| spec);
    Digest::of_parts(parts.iter().map(String::as_bytes))
}

fn decisions<T, S: Serialize>(
    parts: &mut Vec<String>,
    kind: &str,
    component: &Component<T>,
    spec: impl Fn(&T) -> &S,
) {
    parts.push(format!("{kind} {}", component.complete.as_ref().map_or("incomplete", |c| c.why().name())));
    for (name, decision) in &component.children {
        match decision {
            // Specs are plain structs with string keys: writing them cannot fail.
            Decision::Deploy(child) => {
                parts.push(format!("{name} {}", serde_json::to_string(spec(child)).unwrap_or_default()));
            }
            Decision::Hold(_) => parts.push(format!("{name} hold")),
            Decision::Withdraw(_) => {}
        }
    }
}

/// The finding on an id that cannot be a label.
fn replaced_id(place: &Place, label: &str) -> Finding {
    let text = format!("its id is no Kubernetes label value: its objects carry the id `{label}`");
    Finding::warning("IdReplaced", place.clone(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_tells_its_decisions_apart() {
        let decisions = [
            ("a", Decision::Deploy(7)),
            ("b", Decision::Withdraw(Why::Withdrawn)),
            ("c", Decision::Hold("git is silent".to_owned())),
        ];
        let children = decisions.map(|(name, decision)| (name.to_owned(), decision)).into();
        let component = Component { children, complete: None };
        assert_eq!(component.deployed().collect::<Vec<_>>(), [("a", &7)]);
        assert_eq!(component.withdrawn().collect::<Vec<_>>(), [("b", Why::Withdrawn)]);
        assert_eq!(component.held().collect::<Vec<_>>(), [("c", "git is silent")]);
    }

    #[test]
    fn a_reason_s_name_is_its_variant_s() {
        for why in [Why::NotInProject, Why::DisabledByProject, Why::DisabledByOperator, Why::Withdrawn] {
            assert_eq!(why.name(), format!("{why:?}"));
        }
    }
}
