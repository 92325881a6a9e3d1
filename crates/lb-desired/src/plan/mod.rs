//! Plan: what was decoded -> one decision per component. After it no meaningful choice is left.
//!
//! **Unknown is not empty**: a component is held whenever something it is made of is unknown, and only a component
//! whose sources are all known (or proven absent) gets a [`Complete`], without which nothing of its kind is pruned.

use std::collections::BTreeMap;

use lb_project::Decoded;
use lb_vocab::{Digest, Finding, InstanceName, Limits, Place, Producer, Secret, Timestamp};

use crate::crd::{Access, LBFunctionSpec, LBGatewaySpec, LBWorkspaceSpec};
use crate::settings::Settings;

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
    /// The producer's limits.
    pub limits: &'a Limits,
}

/// Whether the producer is (still) one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It has its git user with both repositories.
    Present,
    /// The roster says that it is gone; the grace is over.
    Withdrawn,
}

/// Children that stand already: names stay with the oldest, commits with the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Gateways.
    pub gateways: Vec<ExistingGateway>,
    /// Functions.
    pub functions: Vec<ExistingFunction>,
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
