//! A namespace for each producer, where the operator's template asks for it.
//!
//! It is *open* once it stands and is the producer's, the Actualizer's role is bound there, and its Secrets are
//! watched: they are never watched cluster-wide.

use std::time::Duration;

use futures::StreamExt;
use lb_cluster::{ApiError, Scope};
use lb_desired::build::{self, LeafKind};
use lb_desired::crd::target_binding;
use lb_vocab::{ProducerName, with_causes};

use crate::context::Context;

/// The label that says whose a namespace is.
const LABEL: &str = "producer";
/// How long a start waits for the Secrets of all namespaces.
const LISTS: Duration = Duration::from_secs(10);

/// Why a producer's namespace is not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NamespaceError {
    /// It was there and is not marked as the producer's: it may be anybody's, the cluster's own ones too.
    #[error(
        "namespace {namespace} exists and is not marked as the producer's: label it {LABEL}={producer}, or change \
         ACTUALIZER_TARGET_NAMESPACE"
    )]
    Foreign {
        /// The namespace.
        namespace: String,
        /// Whose it should be.
        producer: ProducerName,
    },
    /// The API server did not do it.
    #[error(transparent)]
    Api(#[from] ApiError),
}

/// Opens the namespace of a producer, once. Nothing to do where all producers have the same one.
///
/// # Errors
/// Where it cannot be opened: the next call tries all of it again.
pub(crate) async fn open(context: &Context, producer: &ProducerName) -> Result<(), NamespaceError> {
    let desired = &context.settings.desired;
    let namespace = desired.namespace(producer);
    if desired.target_namespace.single().is_some() || context.opened().contains(&namespace) {
        return Ok(());
    }
    let manifest = build::namespace(producer, desired);
    let labels = manifest.pointer("/metadata/labels").and_then(|labels| labels.as_object());
    let labels = labels.into_iter().flatten();
    let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    let standing = context.cluster.ensure_namespace(&namespace, &labels.collect()).await?;
    if standing.get(LABEL).map(String::as_str) != Some(producer.as_str()) {
        return Err(NamespaceError::Foreign { namespace, producer: producer.clone() });
    }
    context.cluster.ensure_role_binding(&target_binding(&namespace, desired)).await?;
    context.records.watch(&context.cluster, LeafKind::Secret, &Scope::Namespace(namespace.clone()));
    context.opened().insert(namespace);
    Ok(())
}

/// Opens the namespaces of all producers that have children, so that their Secrets are known before anything is
/// decided. One that cannot be opened is its producer's failure and nobody else's: its next run says why.
pub(crate) async fn open_all(context: &Context) {
    if context.settings.desired.target_namespace.single().is_some() {
        return;
    }
    let producers = futures::stream::iter(context.stores.producers_with_children());
    let at_once = context.settings.workers.max(1);
    producers
        .for_each_concurrent(at_once, |producer| async move {
            if let Err(error) = open(context, &producer).await {
                tracing::warn!(%producer, error = with_causes(&error), "its namespace is not open");
            }
        })
        .await;
    if tokio::time::timeout(LISTS, context.records.synced()).await.is_err() {
        tracing::warn!(waiting = ?context.records.waiting(), "going on without the Secrets of some producers");
    }
}
