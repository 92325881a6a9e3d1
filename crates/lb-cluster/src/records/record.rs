//! The record: all that is kept of a watched object.

use lb_desired::build::{LeafKind, projection};
use lb_desired::crd::FIELD_MANAGER;
use lb_vocab::Digest;
use serde_json::Value;

use crate::cache::Entry;
use crate::identity::{Uid, Version};

/// What is kept of a watched object: about 90 bytes, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its uid.
    pub uid: Uid,
    /// Its version.
    pub version: Version,
    /// Its controller owner.
    pub owner: Option<Uid>,
    /// We applied it once: our field manager is on it. Where it has no owner, somebody took it from us.
    pub ours: bool,
    /// How it compares with what it should be.
    pub state: State,
    /// Whether its pods serve.
    pub rollout: Rollout,
    /// An autoscaler decides its number of pods.
    pub autoscaled: bool,
    /// It is being deleted.
    pub deleting: bool,
}

impl Record {
    /// Whether it is exactly what a desired object of this digest asks for.
    #[must_use]
    pub fn matches(&self, digest: &Digest) -> bool {
        self.state == State::matching(digest)
    }
}

impl Entry for Record {
    const BY_UID: bool = false;

    fn uid(&self) -> Uid {
        self.uid
    }
    fn version(&self) -> Version {
        self.version
    }
    fn owner(&self) -> Option<Uid> {
        self.owner
    }
}

/// How an object compares with what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has every field that the desired object of this digest (SHA-256) sets, and nothing foreign in the lists
    /// that we own whole.
    Matches([u8; 32]),
    /// It differs from what is desired.
    Drifted,
    /// It is owned by one of ours, and not desired.
    Unwanted,
    /// It has no owner and is meant to have none: credentials.
    Kept,
    /// It has no owner: somebody removed the owner, or made it without one.
    Unowned,
    /// Its owner is not known (yet), or is none of ours.
    Unknown,
}

impl State {
    pub(crate) fn matching(digest: &Digest) -> Self {
        let mut bytes = [0; 32];
        // A Digest is 64 hex digits by construction.
        match hex::decode_to_slice(digest.as_str(), &mut bytes) {
            Ok(()) => Self::Matches(bytes),
            Err(_) => Self::Drifted,
        }
    }
}

/// Whether an object's pods serve. `Done` for kinds without pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// All pods are of the newest template and available; no older ones are left.
    Done,
    /// Some are not yet.
    Progressing {
        /// Available pods of the newest template.
        ready: u16,
        /// Pods that the object asks for.
        wanted: u16,
    },
    /// Its deadline passed without progress.
    Failed,
}

/// Labels of the contract that an object carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels<'a> {
    /// `producer`.
    pub producer: Option<&'a str>,
    /// `environment`.
    pub environment: Option<&'a str>,
    /// `app`.
    pub app: Option<&'a str>,
}

/// A live object, on its way to becoming a record.
#[derive(Clone, Copy, Debug)]
pub struct Live<'a> {
    /// Its kind.
    pub kind: LeafKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its controller owner.
    pub owner: Option<Uid>,
    /// We applied it once.
    pub ours: bool,
    /// Its labels.
    pub labels: Labels<'a>,
    /// All of it, as the API server sent it.
    pub object: &'a Value,
}

impl<'a> Live<'a> {
    /// Reads the head of an object; `None` where it has none.
    pub(crate) fn read(kind: LeafKind, object: &'a Value) -> Option<Self> {
        let metadata = object.get("metadata")?;
        let label = |name: &str| metadata.get("labels")?.get(name)?.as_str();
        Some(Self {
            kind,
            namespace: metadata.get("namespace")?.as_str()?,
            name: metadata.get("name")?.as_str()?,
            owner: controller(metadata).and_then(|owner| owner.get("uid")?.as_str()).map(Uid::parse),
            ours: managers(object)
                .any(|(manager, operation)| manager == FIELD_MANAGER && operation == "Apply"),
            labels: Labels {
                producer: label("producer"),
                environment: label("environment"),
                app: label("app"),
            },
            object,
        })
    }

    /// The record of this object.
    pub(crate) fn record(&self, state: State) -> Option<Record> {
        let metadata = self.object.get("metadata")?;
        Some(Record {
            uid: Uid::parse(metadata.get("uid")?.as_str()?),
            version: Version::parse(metadata.get("resourceVersion")?.as_str()?)?,
            owner: self.owner,
            ours: self.ours,
            state,
            rollout: rollout(self.kind, self.object),
            autoscaled: projection::autoscaled(self.object),
            deleting: metadata.get("deletionTimestamp").is_some_and(|time| !time.is_null()),
        })
    }
}

/// The owner reference that says `controller: true`.
pub(crate) fn controller(metadata: &Value) -> Option<&Value> {
    let owners = metadata.get("ownerReferences")?.as_array()?;
    owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))
}

/// Managers and operations of an object's managed fields.
pub(crate) fn managers(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    entries.filter_map(|entry| Some((entry.get("manager")?.as_str()?, entry.get("operation")?.as_str()?)))
}

/// As `kubectl rollout status` sees it.
fn rollout(kind: LeafKind, object: &Value) -> Rollout {
    match kind {
        LeafKind::Deployment => {}
        LeafKind::ServiceAccount
        | LeafKind::NetworkPolicy
        | LeafKind::Secret
        | LeafKind::Service
        | LeafKind::Ingress => return Rollout::Done,
    }
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64);
    let status = |field: &str| number(&format!("/status/{field}")).unwrap_or(0);
    let wanted = number("/spec/replicas").unwrap_or(1);
    let observed = status("observedGeneration") >= number("/metadata/generation").unwrap_or(0);
    let (updated, available) = (status("updatedReplicas"), status("availableReplicas"));
    if observed && updated >= wanted && available >= wanted && status("replicas") <= updated {
        return Rollout::Done;
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let stuck = |condition: &Value| condition["type"] == "Progressing" && condition["status"] == "False";
    if observed && conditions.into_iter().any(stuck) {
        return Rollout::Failed;
    }
    let small = |n: i64| u16::try_from(n.max(0)).unwrap_or(u16::MAX);
    let ready = if observed { available.min(updated) } else { 0 };
    Rollout::Progressing { ready: small(ready), wanted: small(wanted) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 100, "{} bytes", size_of::<Record>());
    }

    #[test]
    fn the_head_of_an_object_is_read() {
        let object = json!({"metadata": {
            "name": "s", "namespace": "n", "uid": "0ca50968-f2a5-4f2f-a008-a9b982411813", "resourceVersion": "7",
            "labels": {"producer": "al", "environment": "dev"},
            "ownerReferences": [{"uid": "other"}, {"uid": "mine", "controller": true}],
            "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update"},
                {"manager": FIELD_MANAGER, "operation": "Apply"}
            ]
        }});
        let live = Live::read(LeafKind::Service, &object).unwrap();
        assert_eq!((live.name, live.namespace, live.owner), ("s", "n", Some(Uid::parse("mine"))));
        assert!(live.ours);
        assert_eq!(live.labels, Labels { producer: Some("al"), environment: Some("dev"), app: None });
        let record = live.record(State::Drifted).unwrap();
        assert_eq!((record.version, record.deleting, record.rollout), (Version(7), false, Rollout::Done));
    }

    #[test]
    fn what_is_no_object_becomes_no_record() {
        for object in [json!(null), json!({}), json!({"metadata": []}), json!({"metadata": {"name": 7}})] {
            assert!(Live::read(LeafKind::Secret, &object).is_none(), "{object}");
        }
        let headless =
            json!({"metadata": {"name": "s", "namespace": "n", "resourceVersion": "x", "uid": "u"}});
        assert!(Live::read(LeafKind::Secret, &headless).unwrap().record(State::Drifted).is_none());
    }

    #[test]
    fn an_update_by_our_name_is_not_an_apply() {
        let object = json!({"metadata": {"name": "s", "namespace": "n",
            "managedFields": [{"manager": FIELD_MANAGER, "operation": "Update"}]}});
        assert!(!Live::read(LeafKind::Secret, &object).unwrap().ours);
    }

    #[test]
    fn a_rollout_is_done_when_only_new_pods_are_left_and_serve() {
        let deployment = |status: Value| {
            json!({
                "metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": status
            })
        };
        let at = |ready| Rollout::Progressing { ready, wanted: 2 };
        for (status, expected) in [
            (json!({}), at(0)),
            (
                json!({"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                at(0),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}),
                at(1),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2}),
                at(2),
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
                Rollout::Done,
            ),
            (
                json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1,
                    "conditions": [{"type": "Progressing", "status": "False"}]}),
                Rollout::Failed,
            ),
        ] {
            assert_eq!(rollout(LeafKind::Deployment, &deployment(status.clone())), expected, "{status}");
        }
    }
}
