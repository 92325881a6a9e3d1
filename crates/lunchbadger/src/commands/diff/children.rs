//! The children of one environment that stand.

use std::sync::Arc;

use anyhow::Result;
use kube::Api;
use kube::api::ListParams;
use lb_actualizer::Children;
use lb_cluster::{Child, Cluster};
use lb_vocab::Producer;

use crate::commands::explain::explain;

/// Reads them, in whatever namespace.
pub(super) async fn read(cluster: &Cluster, who: &Producer) -> Result<Children> {
    Ok(Children {
        workspaces: list(cluster, who).await?,
        gateways: list(cluster, who).await?,
        functions: list(cluster, who).await?,
    })
}

async fn list<K: Child>(cluster: &Cluster, who: &Producer) -> Result<Vec<Arc<K>>> {
    let api: Api<K> = Api::all(cluster.client().clone());
    let labels = format!("producer={},environment={}", who.name(), who.environment());
    let list = api.list(&ListParams::default().labels(&labels)).await;
    let list = list.map_err(|error| explain(&format!("list {}", K::plural(&())), error))?;
    Ok(list.items.into_iter().map(Arc::new).collect())
}
