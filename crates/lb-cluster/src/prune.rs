//! Prune: what an owner controls and does not want any more is deleted, one by one, exactly as it was looked at.
//!
//! By controller owner, never by label: an object that merely looks like ours is not deleted.

use std::collections::BTreeSet;

use lb_desired::build::LeafKind;

use crate::collection::{Collection, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::Uid;
use crate::records::Records;

/// How far a pruning is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Objects whose deletion was asked for now.
    pub deleted: usize,
    /// Objects that are not desired and still watched, those just deleted among them. Only at zero are they gone.
    pub remaining: usize,
}

impl Cluster {
    /// Deletes every object that `owner` controls and `desired` does not name. All are tried; what could not be
    /// confirmed stays in the records and is tried again by the next call.
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
            if desired.contains(&(kind, name.to_string())) {
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
}
