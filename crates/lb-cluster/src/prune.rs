//! Prune: what an owner controls and does not want any more is deleted, one by one, exactly as it was looked at.
//!
//! By controller owner, never by label, and only what our field manager applied: an object that merely looks like ours
//! is not deleted.

use std::collections::BTreeSet;

use kube::Resource;
use lb_desired::build::LeafKind;
use lb_desired::crd::{LBFunction, LBGateway, LBWorkspace};
use serde_json::Value;

use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::Uid;
use crate::records::{Entry, Records, controller};

/// How far a pruning is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Objects whose deletion was asked for now.
    pub deleted: usize,
    /// Objects that are not desired and still watched, those just deleted among them. Only at zero are they gone.
    pub remaining: usize,
}

impl Cluster {
    /// Deletes every object of ours that `owner` controls and `desired` does not name. All are tried; what could not
    /// be confirmed stays in the records and is tried again by the next call.
    ///
    /// # Errors
    /// The first one, after all were tried.
    pub async fn prune(
        &self,
        records: &Records,
        owner: Uid,
        desired: &BTreeSet<(LeafKind, String)>,
    ) -> Result<Pruned, ApiError> {
        let mut pruned = Pruned::default();
        let mut failure = None;
        // What serves goes first, and what it needs last.
        for (kind, namespace, name, record) in records.owned_by(owner).into_iter().rev() {
            if !record.ours || desired.contains(&(kind, name.to_string())) {
                continue;
            }
            pruned.remaining += 1;
            if record.deleting {
                continue;
            }
            let collection = Collection::of_leaf(kind, &Scope::Namespace(namespace.to_string()));
            match self.delete(&collection, &name, record.uid, Some(record.version)).await {
                Ok(_) => {
                    pruned.deleted += 1;
                    records.leaving(kind, &namespace, &name, record.version);
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None => Ok(pruned),
        }
    }

    /// Deletes every object of ours that `owner` controlled, once the API server says that this owner is gone: that no
    /// store has it is not enough, because one that cannot be read is in no store either. Where it stands, or is none
    /// of our kinds, nothing is deleted.
    ///
    /// # Errors
    /// Where the owner cannot be asked for; otherwise as [`prune`](Self::prune).
    pub async fn prune_orphans(&self, records: &Records, owner: Uid) -> Result<Pruned, ApiError> {
        let mut ours = records.owned_by(owner);
        ours.retain(|(.., record)| record.ours);
        match ours.first() {
            Some(object) if !self.has_lost(object, owner).await? => {
                Ok(Pruned { deleted: 0, remaining: ours.len() })
            }
            _ => self.prune(records, owner, &BTreeSet::new()).await,
        }
    }

    /// Whether the owner of an object is gone: the API server has none of its name, or a later one.
    async fn has_lost(&self, (kind, namespace, name, _): &Entry, owner: Uid) -> Result<bool, ApiError> {
        let scope = Scope::Namespace(namespace.to_string());
        // Records keep the owner's uid alone; the object itself knows its kind and name.
        let Some(object) = self.get(&Collection::of_leaf(*kind, &scope), name).await? else {
            return Ok(false);
        };
        let reference = object.get("metadata").and_then(controller);
        let Some((owners, name)) = reference.and_then(|reference| child(reference, &scope)) else {
            return Ok(false);
        };
        let standing = self.get(&owners, name).await?;
        let uid = standing.as_ref().and_then(|object| object.pointer("/metadata/uid")?.as_str());
        Ok(uid.map(Uid::parse) != Some(owner))
    }
}

/// Where the child that an owner reference names is found; `None` where it names no child.
fn child<'a>(reference: &'a Value, scope: &Scope) -> Option<(Collection, &'a str)> {
    let text = |field: &str| reference.get(field)?.as_str();
    let (version, kind) = (text("apiVersion")?, text("kind")?);
    let children = [
        Collection::of::<LBWorkspace>(scope),
        Collection::of::<LBGateway>(scope),
        Collection::of::<LBFunction>(scope),
    ];
    let owners = children.into_iter().find(|children| children.kind == kind)?;
    (version == LBGateway::api_version(&())).then_some((owners, text("name")?))
}
