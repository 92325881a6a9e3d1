//! What a plan is made from, and what stands of it, as digests: equal digests need no reading and no writing.

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::ResourceExt;
use lb_cluster::Child;
use lb_desired::crd::{Access, LBFunction, LBGateway, LBWorkspace};
use lb_desired::plan::{Component, Decision, Existing, ExistingFunction, ExistingGateway, Plan, Presence};
use lb_vocab::{Digest, Limits, Producer, Revision, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::child::ChildKey;

/// The digest of everything that a plan is made from, beside the producer's children that stand.
pub(crate) fn digest(
    revision: &Revision,
    access: Access,
    presence: Presence,
    limits: &Limits,
    taken: &BTreeSet<String>,
    settings: &Digest,
) -> Digest {
    let presence = format!("{presence:?}");
    let inputs = json!({
        "revision": revision, "access": access, "presence": presence, "limits": limits, "taken": taken,
    });
    Digest::of_parts([inputs.to_string().as_bytes(), settings.as_str().as_bytes()])
}

/// The children of one environment that stand.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// The workspace, at most one.
    pub workspaces: Vec<Arc<LBWorkspace>>,
    /// Gateways.
    pub gateways: Vec<Arc<LBGateway>>,
    /// Functions.
    pub functions: Vec<Arc<LBFunction>>,
}

impl Children {
    /// Those of one environment.
    pub(crate) fn of(mut self, who: &Producer) -> Self {
        let environment = who.environment().as_str();
        self.workspaces.retain(|child| child.spec.environment == environment);
        self.gateways.retain(|child| child.spec.environment == environment);
        self.functions.retain(|child| child.spec.environment == environment);
        self
    }

    /// The environments that they are in.
    pub(crate) fn environments(&self) -> BTreeSet<String> {
        let Self { workspaces, gateways, functions } = self;
        let workspaces = workspaces.iter().map(|child| child.spec.environment.clone());
        let gateways = gateways.iter().map(|child| child.spec.environment.clone());
        let functions = functions.iter().map(|child| child.spec.environment.clone());
        workspaces.chain(gateways).chain(functions).collect()
    }

    /// Their keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = ChildKey> {
        let Self { workspaces, gateways, functions } = self;
        let workspaces = workspaces.iter().map(|child| ChildKey::workspace(child));
        let gateways = gateways.iter().map(|child| ChildKey::gateway(child));
        workspaces.chain(gateways).chain(functions.iter().map(|child| ChildKey::function(child)))
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { workspaces, gateways, functions } = self;
        workspaces.is_empty() && gateways.is_empty() && functions.is_empty()
    }

    /// The digest of their names and specs.
    pub(crate) fn digest(&self) -> Digest {
        let workspaces = self.workspaces.iter().map(|child| entry("w", &child.name_any(), &child.spec));
        let gateways = self.gateways.iter().map(|child| entry("g", &child.name_any(), &child.spec));
        let functions = self.functions.iter().map(|child| entry("f", &child.name_any(), &child.spec));
        combine(workspaces.chain(gateways).chain(functions).collect())
    }

    /// What plan needs to know of them, and of the names that other producers have.
    pub(crate) fn existing(&self, taken: BTreeSet<String>) -> Existing {
        let gateways = self.gateways.iter().filter_map(|child| {
            Some(ExistingGateway {
                instance: child.spec.instance.parse().ok()?,
                id: child.spec.id.clone(),
                created: created(child.metadata.creation_timestamp.as_ref()),
                uid: child.metadata.uid.clone().unwrap_or_default(),
            })
        });
        let functions = self.functions.iter().map(|child| ExistingFunction {
            service: child.spec.service.clone(),
            path: child.spec.path.clone(),
            commit: child.spec.commit.clone(),
            digest: child.spec.digest.clone(),
        });
        Existing { gateways: gateways.collect(), functions: functions.collect(), taken }
    }
}

/// The moment of creation.
pub(crate) fn created(time: Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>) -> Timestamp {
    let millis = time.map_or(0, |time| time.0.as_millisecond());
    Timestamp(u64::try_from(millis).unwrap_or_default())
}

/// The digest that the children will have once a plan is carried out: what is held stays as it stands.
pub(crate) fn planned(plan: &Plan, standing: &Children) -> Digest {
    let Plan { workspace, gateways, functions, findings: _, digest: _ } = plan;
    let workspaces = will_be("w", workspace, |spec| spec, &standing.workspaces);
    let gateways = will_be("g", gateways, |planned| &planned.spec, &standing.gateways);
    let functions = will_be("f", functions, |spec| spec, &standing.functions);
    combine(workspaces.chain(gateways).chain(functions).collect())
}

fn will_be<'a, K: Child, T>(
    kind: &'a str,
    component: &'a Component<T>,
    spec: impl Fn(&T) -> &K::Spec + 'a,
    standing: &'a [Arc<K>],
) -> impl Iterator<Item = String> + 'a {
    component.children.iter().filter_map(move |(name, decision)| match decision {
        Decision::Deploy(planned) => Some(entry(kind, name, spec(planned))),
        Decision::Withdraw(_) => None,
        Decision::Hold(_) => {
            let child = standing.iter().find(|child| child.meta().name.as_ref() == Some(name))?;
            Some(entry(kind, name, child.spec()))
        }
    })
}

fn entry<T: Serialize>(kind: &str, name: &str, spec: &T) -> String {
    format!("{kind} {name} {}", json!(spec))
}

fn combine(mut entries: Vec<String>) -> Digest {
    entries.sort();
    Digest::of_parts(entries.iter().map(String::as_bytes))
}
