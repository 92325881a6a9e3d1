//! The children of one environment that stand, and what they would become.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use lb_cluster::{Child, Cluster};
use lb_desired::crd::{FIELD_MANAGER, LBFunction, LBGateway, LBProducer, LBWorkspace};
use lb_desired::plan::{Existing, ExistingFunction, ExistingGateway};
use lb_vocab::{Producer, Timestamp};
use serde_json::{Value, json};

use crate::commands::explain::explain;

/// The children of one environment that stand.
pub(super) struct Standing {
    /// At most one.
    pub(super) workspaces: Vec<LBWorkspace>,
    /// Gateways.
    pub(super) gateways: Vec<LBGateway>,
    /// Functions.
    pub(super) functions: Vec<LBFunction>,
    /// Names of functions of other producers in its namespace.
    taken: BTreeSet<String>,
}

impl Standing {
    /// Reads them, in whatever namespace; `namespace` is that of the producer.
    pub(super) async fn read(cluster: &Cluster, who: &Producer, namespace: &str) -> Result<Self> {
        let own = format!("producer={},environment={}", who.name(), who.environment());
        let others: Vec<LBFunction> = list(cluster, &format!("producer!={}", who.name())).await?;
        let near = others.iter().filter(|child| child.namespace().as_deref() == Some(namespace));
        Ok(Self {
            workspaces: list(cluster, &own).await?,
            gateways: list(cluster, &own).await?,
            functions: list(cluster, &own).await?,
            taken: near.map(ResourceExt::name_any).collect(),
        })
    }

    /// What plan needs to know of them.
    pub(super) fn existing(&self) -> Existing {
        let gateways = self.gateways.iter().filter_map(|child| {
            let millis = child.creation_timestamp().map_or(0, |time| time.0.as_millisecond());
            Some(ExistingGateway {
                instance: child.spec.instance.parse().ok()?,
                id: child.spec.id.clone(),
                created: Timestamp(u64::try_from(millis).unwrap_or_default()),
                uid: child.uid().unwrap_or_default(),
            })
        });
        let functions = self.functions.iter().map(|child| ExistingFunction {
            service: child.spec.service.clone(),
            path: child.spec.path.clone(),
            commit: child.spec.commit.clone(),
            digest: child.spec.digest.clone(),
        });
        Existing { gateways: gateways.collect(), functions: functions.collect(), taken: self.taken.clone() }
    }
}

async fn list<K: Child>(cluster: &Cluster, labels: &str) -> Result<Vec<K>> {
    let api: Api<K> = Api::all(cluster.client().clone());
    let list = api.list(&ListParams::default().labels(labels)).await;
    Ok(list.map_err(|error| explain(&format!("list {}", K::plural(&())), error))?.items)
}

/// What an apply of a child would make of it: admission and defaults included.
pub(super) async fn dry_run<K: Child + Resource<Scope = NamespaceResourceScope>>(
    cluster: &Cluster,
    producer: &LBProducer,
    who: &Producer,
    namespace: &str,
    child: K,
    live: Option<&K>,
) -> Result<K> {
    let name = child.name_any();
    let mut manifest = serde_json::to_value(&child).context("write a child as JSON")?;
    if let Some(fields) = manifest.as_object_mut() {
        fields.shift_remove("status");
    }
    let mut owner = json!(producer.controller_owner_ref(&()));
    owner["blockOwnerDeletion"] = Value::Bool(true);
    manifest["metadata"] = json!({
        "name": name,
        "namespace": namespace,
        "labels": {"producer": who.name(), "environment": who.environment()},
        "ownerReferences": [owner],
    });
    let mut parameters = PatchParams::apply(FIELD_MANAGER).dry_run();
    parameters.force = live.is_some();
    let api: Api<K> = Api::namespaced(cluster.client().clone(), namespace);
    let would_be = api.patch(&name, &parameters, &Patch::Apply(&manifest)).await;
    would_be.with_context(|| format!("dry run of {} {name}", K::kind(&())))
}
