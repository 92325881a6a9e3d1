//! Report: at most one status write per reconcile, and none where nothing changed.
//!
//! By JSON patch: the status is ours as a whole, so it is replaced as a whole, at the version that was looked at
//! (a paused leader's write is refused). Server-side apply would note the path of every finding in `managedFields`
//! twice over and could not say "only at this version" without our sending the spec, too.

use kube::api::ObjectMeta;
use kube::core::object::HasStatus;
use serde_json::{Value, json};

use crate::collection::{Collection, Scope, only_at, patch_of};
use crate::connect::Cluster;
use crate::custom::{Custom, Store};
use crate::error::ApiError;
use crate::identity::Version;

impl Cluster {
    /// Writes an object's status. `false`: the store holds an equal one, and nothing was sent.
    ///
    /// # Errors
    /// A conflict where `object` is not the newest version; and where it is refused.
    pub async fn write_status<K: Custom>(
        &self,
        store: &Store<K>,
        object: &K,
        status: &<K as HasStatus>::Status,
    ) -> Result<bool, ApiError> {
        let meta = object.meta();
        let (namespace, name) =
            (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
        let attempt = format!("report the status of {} {name}", K::kind(&()));
        // A newer version of the same generation differs from what the caller looked at by its status (ours) or its
        // labels: that does not stand in the way.
        let held = store.get(namespace, name);
        let known = match &held {
            Some(held) if same_spec(meta, held.meta()) => held.as_ref(),
            Some(_) | None => object,
        };
        if known.status() == Some(status) {
            return Ok(false);
        }
        let malformed = |what: &str| ApiError::Malformed { attempt: attempt.clone(), what: what.to_owned() };
        let version = Version::of(known).ok_or_else(|| malformed("an object without a version"))?;
        let value = serde_json::to_value(status).map_err(|_| malformed("the status is not JSON"))?;
        let operations: Vec<Value> =
            vec![only_at(version), json!({"op": "add", "path": "/status", "value": value})];
        let scope = meta.namespace.clone().map_or(Scope::Everywhere, Scope::Namespace);
        let patch = patch_of(&attempt, operations)?;
        let to = Collection::of::<K>(&scope);
        let written = self.json_patch(&to, name, Some("status"), patch).await?;
        store.enter(&attempt, written)?;
        Ok(true)
    }
}

fn same_spec(one: &ObjectMeta, other: &ObjectMeta) -> bool {
    one.uid == other.uid && one.generation == other.generation
}
