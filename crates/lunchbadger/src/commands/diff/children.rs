//! The children of one environment that stand.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Result;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use lb_actualizer::Children;
use lb_cluster::{Child, Cluster};
use lb_desired::crd::LBFunction;
use lb_vocab::Producer;

use crate::commands::explain::explain;

/// Reads them, in whatever namespace.
pub(super) async fn read(cluster: &Cluster, who: &Producer) -> Result<Children> {
    let own = format!("producer={},environment={}", who.name(), who.environment());
    Ok(Children {
        workspaces: list(cluster, &own).await?,
        gateways: list(cluster, &own).await?,
        functions: list(cluster, &own).await?,
    })
}

/// Names of functions of other producers in the producer's `namespace`.
pub(super) async fn taken(cluster: &Cluster, who: &Producer, namespace: &str) -> Result<BTreeSet<String>> {
    let others = list::<LBFunction>(cluster, &format!("producer!={}", who.name())).await?;
    let near = others.iter().filter(|child| child.namespace().as_deref() == Some(namespace));
    Ok(near.map(|child| child.name_any()).collect())
}

async fn list<K: Child>(cluster: &Cluster, labels: &str) -> Result<Vec<Arc<K>>> {
    let api: Api<K> = Api::all(cluster.client().clone());
    let list = api.list(&ListParams::default().labels(labels)).await;
    let list = list.map_err(|error| explain(&format!("list {}", K::plural(&())), error))?;
    Ok(list.items.into_iter().map(Arc::new).collect())
}
