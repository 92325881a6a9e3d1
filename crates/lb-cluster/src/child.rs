//! Writing children: what a producer's plan decided.
//!
//! Every write carries the version that our store holds, so that a leader that was paused, and does not know yet that
//! it is none any more, cannot put an old commit over a new one.

use std::collections::{BTreeMap, BTreeSet};

use kube::Resource;
use kube::core::object::HasSpec;
use lb_desired::plan::Complete;
use lb_vocab::Environment;
use serde_json::{Value, json};

use crate::apply::{Applied, ApplyError};
use crate::collection::{Collection, Manner, NO_OBJECTS, Scope};
use crate::connect::Cluster;
use crate::custom::{Child, Held, Store};
use crate::error::ApiError;
use crate::identity::{Owner, Uid, Version};
use crate::prune::Pruned;

/// A child as it should stand.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent<S> {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels; others are tolerated.
    pub labels: BTreeMap<String, String>,
    /// Its spec.
    pub spec: S,
}

impl Cluster {
    /// Makes a child stand. Sends nothing where the store says that it does.
    ///
    /// # Errors
    /// Where it cannot stand; a conflict where the store does not hold its newest version (yet).
    pub async fn apply_child<K: Child>(
        &self,
        store: &Store<K>,
        owner: &Owner,
        intent: &Intent<<K as HasSpec>::Spec>,
    ) -> Result<Applied, ApplyError> {
        let held = store.held(&intent.namespace, &intent.name);
        if let Some((held, object)) = held.as_ref().and_then(|held| Some((held, held.object()?))) {
            check(held, &object, owner, &intent.name)?;
            if stands(held, &object, owner, intent) {
                return Ok(Applied::Unchanged);
            }
        }
        let only = held.as_ref().map(|held| (held.uid, Some(held.version)));
        let object = self.send_child::<K>(owner, intent, only, false).await?;
        store.enter(&format!("apply {} {}", K::kind(&()), intent.name), object)?;
        Ok(if held.is_some() { Applied::Changed } else { Applied::Created })
    }

    /// What [`apply_child`](Self::apply_child) would make of a child, by a server-side dry run: admission and defaults
    /// included. `live` is what stands; its status may move on meanwhile.
    ///
    /// # Errors
    /// Where it is refused, or another one stands there now.
    pub async fn dry_run_child<K: Child>(
        &self,
        owner: &Owner,
        intent: &Intent<<K as HasSpec>::Spec>,
        live: Option<&K>,
    ) -> Result<K, ApiError> {
        let only = live.and_then(Uid::of).map(|uid| (uid, None));
        let would_be = self.send_child::<K>(owner, intent, only, true).await?;
        serde_json::from_value(would_be).map_err(|_| ApiError::Malformed {
            attempt: format!("dry run of {} {}", K::kind(&()), intent.name),
            what: "it does not fit its schema".to_owned(),
        })
    }

    /// Applies a child to exactly the object, and where one is given the version, that was looked at; `None`: it must
    /// not exist.
    async fn send_child<K: Child>(
        &self,
        owner: &Owner,
        intent: &Intent<<K as HasSpec>::Spec>,
        only: Option<(Uid, Option<Version>)>,
        dry_run: bool,
    ) -> Result<Value, ApiError> {
        let Intent { namespace, name, labels, spec } = intent;
        let spec = serde_json::to_value(spec).map_err(|error| ApiError::Malformed {
            attempt: format!("apply {} {name}", K::kind(&())),
            what: format!("the spec is not JSON ({:?})", error.classify()),
        })?;
        let mut metadata = json!({
            "name": name,
            "namespace": namespace,
            "labels": labels,
            "ownerReferences": [owner.reference()],
        });
        let version = match only {
            Some((uid, version)) => {
                metadata["uid"] = Value::String(uid.to_string());
                version.map(|version| version.to_string())
            }
            None => Some(NO_OBJECTS.to_owned()),
        };
        if let Some(version) = version {
            metadata["resourceVersion"] = Value::String(version);
        }
        let manifest = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": metadata,
            "spec": spec,
        });
        let manner = Manner { force: only.is_some(), dry_run };
        let to = Collection::of::<K>(&Scope::Namespace(namespace.clone()));
        self.server_side_apply(&to, name, &manifest, manner).await
    }

    /// Deletes the children of one environment that `owner` controls and `desired` does not name. Only a plan gives
    /// the permission.
    ///
    /// # Errors
    /// The first one, after all were tried.
    pub async fn prune_children<K: Child>(
        &self,
        store: &Store<K>,
        owner: Uid,
        environment: &Environment,
        desired: &BTreeSet<String>,
        _permission: &Complete,
    ) -> Result<Pruned, ApiError> {
        let mut pruned = Pruned::default();
        let mut failure = None;
        for child in store.owned_by(owner) {
            let meta = child.meta();
            let (namespace, name) = names(child.as_ref());
            if child.environment() != environment.as_str() || desired.contains(name) {
                continue;
            }
            pruned.remaining += 1;
            if meta.deletion_timestamp.is_some() {
                continue;
            }
            match self.delete_held(store, namespace, name).await {
                Ok(deleted) => pruned.deleted += usize::from(deleted),
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

    /// Deletes one child that a plan withdraws. `false`: it is not there.
    ///
    /// # Errors
    /// A conflict where the store does not hold its newest version (yet); and where it cannot be deleted.
    pub async fn delete_child<K: Child>(
        &self,
        store: &Store<K>,
        namespace: &str,
        name: &str,
        _permission: &Complete,
    ) -> Result<bool, ApiError> {
        self.delete_held(store, namespace, name).await
    }

    async fn delete_held<K: Child>(
        &self,
        store: &Store<K>,
        namespace: &str,
        name: &str,
    ) -> Result<bool, ApiError> {
        let Some(held) = store.held(namespace, name) else { return Ok(false) };
        let from = Collection::of::<K>(&Scope::Namespace(namespace.to_owned()));
        self.delete(&from, name, held.uid, Some(held.version)).await
    }
}

fn names<K: Resource>(object: &K) -> (&str, &str) {
    let meta = object.meta();
    (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn check<K: Child>(held: &Held<K>, object: &K, owner: &Owner, name: &str) -> Result<(), ApplyError> {
    let (kind, name) = (K::kind(&()).into_owned(), name.to_owned());
    if object.meta().deletion_timestamp.is_some() {
        return Err(ApplyError::Deleting { kind, name });
    }
    match held.owner {
        Some(uid) if uid == owner.uid => Ok(()),
        Some(uid) => Err(ApplyError::OtherOwner { kind, name, owner: format!("the owner with uid {uid}") }),
        None if held.ours => Ok(()),
        None => Err(ApplyError::Foreign { kind, name, managers: Vec::new(), fields: Vec::new() }),
    }
}

fn stands<K: Child>(
    held: &Held<K>,
    object: &K,
    owner: &Owner,
    intent: &Intent<<K as HasSpec>::Spec>,
) -> bool {
    let labels = object.meta().labels.as_ref();
    let labelled =
        intent.labels.iter().all(|(key, value)| labels.is_some_and(|labels| labels.get(key) == Some(value)));
    labelled && held.owner == Some(owner.uid) && *object.spec() == intent.spec
}
