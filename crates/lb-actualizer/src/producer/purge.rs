//! Purge: everything goes, credentials too. By an operator's command only.
//!
//! The command sets an annotation. The producer is then treated as disabled until nothing of it stands; its
//! credentials go last. While its git user is still there the `LBProducer` stays, disabled: it would be made anew.

use kube::ResourceExt;
use lb_desired::build;
use lb_desired::crd::{Access, LBProducer};
use lb_vocab::ProducerName;
use serde_json::json;

use super::{ProducerError, producers};
use crate::context::Context;
use crate::roster;

/// The annotation that asks for a purge; its value is the producer's name.
pub const PURGE: &str = "lunchbadger.io/purge";

/// Whether a purge was asked for.
pub(super) fn wanted(resource: &LBProducer) -> bool {
    resource.annotations().get(PURGE).is_some_and(|name| *name == resource.name_any())
}

/// Removes what is left once no child and none of their objects stands.
pub(super) async fn finish(
    context: &Context,
    name: &ProducerName,
    resource: &LBProducer,
) -> Result<(), ProducerError> {
    let environments = producers(context, name, resource);
    let departing = environments.iter().any(|who| context.dispatch.still_departing(who) > 0);
    if departing || !context.stores.children_of(resource).is_empty() {
        return Ok(());
    }
    let present = roster::is_producer(context, name).await;
    let present = present.map_err(|error| ProducerError::Discover(name.clone(), error))?;
    let fail = |error| ProducerError::Purge(name.clone(), error);
    for who in environments {
        let namespace = context.settings.desired.namespace(name);
        context.cluster.delete_secret(&namespace, &build::credentials_name(&who)).await.map_err(fail)?;
        context.forget(&who);
    }
    tracing::warn!(producer = %name, "purged, credentials included");
    if present {
        let mut status = resource.status.clone().unwrap_or_default();
        for environment in status.environments.values_mut() {
            environment.credentials_made = false;
        }
        context.cluster.write_status(&context.stores.producers, resource, &status).await.map_err(fail)?;
        let change = json!({
            "metadata": {"annotations": {PURGE: null, lb_cluster::CONFIRM_DELETE: null}},
            "spec": {"access": Access::Disabled},
        });
        context.cluster.edit(resource, &change).await.map_err(fail)?;
    } else {
        context.cluster.delete_producer(name).await.map_err(fail)?;
    }
    Ok(())
}
