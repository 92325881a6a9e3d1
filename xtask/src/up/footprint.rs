//! What `up` makes in a cluster that is not ours, and its removal.
//!
//! The namespace is the record: its label says that `up` made it, its annotation that the definitions came with it. It
//! is made first and removed last, so that nothing is forgotten whenever one of us is killed.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{Event, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::timeout;

use super::cluster::{Cluster, GROUP, kind};
use super::system::PRODUCER;
use crate::say::say;

/// Where everything goes but the producer and the definitions, which are in no namespace.
pub(super) const NAMESPACE: &str = "lunchbadger-up";
/// The label by which the namespace is known as ours.
const MADE_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "cargo-xtask-up");
/// The annotation of the namespace that says that there were no definitions before.
const WITH_DEFINITIONS: &str = "lunchbadger.io/made-with-definitions";
/// The annotation without which the admission policy refuses to delete a producer or a definition.
const CONFIRM_DELETE: &str = "lunchbadger.io/confirm-delete";
/// The name of the admission policy and of its binding.
const POLICY: &str = "lunchbadger-confirm-delete";
/// How long a deletion may take: a namespace is emptied first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Removes what an earlier `up` left, makes the namespace, and refuses a cluster that has producers: our Actualizer would
/// take them for its own, and withdraw them because our configstore does not know them.
pub(super) async fn begin(cluster: &Cluster) -> Result<()> {
    remove(cluster).await?;
    let definitions = definitions(cluster).await?;
    refuse_others(cluster, &[], &definitions).await?;
    let annotation = (WITH_DEFINITIONS.to_owned(), "true".to_owned());
    let metadata = ObjectMeta {
        name: Some(NAMESPACE.to_owned()),
        labels: Some(BTreeMap::from([(MADE_BY.0.to_owned(), MADE_BY.1.to_owned())])),
        annotations: definitions.is_empty().then(|| BTreeMap::from([annotation])),
        ..ObjectMeta::default()
    };
    let namespace = Namespace { metadata, ..Namespace::default() };
    say(&format!(
        "in this cluster come the definitions of LunchBadger, LBProducer {PRODUCER} and namespace {NAMESPACE}; nothing else \
         is touched"
    ));
    let created = Api::all(cluster.client.clone()).create(&PostParams::default(), &namespace).await;
    created.map(drop).with_context(|| format!("create namespace {NAMESPACE}"))
}

/// Removes what `up` made: the producer, the definitions where they came with it, the namespace with all that is in it.
pub(super) async fn remove(cluster: &Cluster) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let found = namespaces.get_opt(NAMESPACE).await;
    let Some(namespace) = found.with_context(|| format!("look for namespace {NAMESPACE}"))? else {
        return Ok(());
    };
    if namespace.labels().get(MADE_BY.0).map(String::as_str) != Some(MADE_BY.1) {
        bail!(
            "namespace {NAMESPACE} was not made by `cargo xtask up` (it lacks the label {}={}): rename or remove it yourself",
            MADE_BY.0,
            MADE_BY.1
        );
    }
    let definitions = definitions(cluster).await?;
    refuse_others(cluster, &[PRODUCER], &definitions).await?;
    delete(cluster, &kind("LBProducer"), PRODUCER).await?;
    delete_events(cluster).await?;
    if namespace.annotations().contains_key(WITH_DEFINITIONS) {
        delete(cluster, &ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&()), POLICY).await?;
        delete(cluster, &ApiResource::erase::<ValidatingAdmissionPolicy>(&()), POLICY).await?;
        for name in &definitions {
            delete(cluster, &ApiResource::erase::<CustomResourceDefinition>(&()), name).await?;
        }
    }
    delete(cluster, &ApiResource::erase::<Namespace>(&()), NAMESPACE).await
}

/// The names of our custom resource definitions that the cluster has.
async fn definitions(cluster: &Cluster) -> Result<Vec<String>> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let all = api.list(&ListParams::default()).await.context("list custom resource definitions")?;
    Ok(all
        .items
        .iter()
        .filter(|definition| definition.spec.group == GROUP)
        .map(ResourceExt::name_any)
        .collect())
}

/// Fails where the cluster has producers beside `known`.
async fn refuse_others(cluster: &Cluster, known: &[&str], definitions: &[String]) -> Result<()> {
    if !definitions.iter().any(|name| name.starts_with("lbproducers.")) {
        return Ok(());
    }
    let producers =
        cluster.all("LBProducer").list(&ListParams::default()).await.context("list LBProducers")?;
    let names = producers.items.iter().map(ResourceExt::name_any);
    let others: Vec<String> = names.filter(|name| !known.contains(&name.as_str())).collect();
    if others.is_empty() {
        return Ok(());
    }
    bail!(
        "LunchBadger is in use in the cluster of {} (LBProducer {}), and `cargo xtask up` and `down` would get in its way: name \
         another cluster",
        cluster.kubeconfig.display(),
        others.join(", ")
    )
}

/// Deletes an object, with the confirmation that the admission policy wants, and waits until it is gone.
async fn delete(cluster: &Cluster, kind: &ApiResource, name: &str) -> Result<()> {
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), kind);
    let what = format!("{} {name}", kind.kind);
    let confirm = Patch::Merge(json!({"metadata": {"annotations": {CONFIRM_DELETE: name}}}));
    let found = match api.patch(name, &PatchParams::default(), &confirm).await {
        Ok(found) => found,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("annotate {what}")),
    };
    say(&format!("deleting {what}"));
    api.delete(name, &DeleteParams::default()).await.with_context(|| format!("delete {what}"))?;
    let uid = found.uid().unwrap_or_default();
    match timeout(PATIENCE, await_condition(api, name, is_deleted(&uid))).await {
        Ok(gone) => gone.map(drop).with_context(|| format!("wait until {what} is gone")),
        Err(_) => bail!(
            "{what} is still there {} s after it was deleted: `kubectl describe` says what holds it",
            PATIENCE.as_secs()
        ),
    }
}

/// Deletes what was noted of the producer: what is in no namespace has its Events in `default`.
async fn delete_events(cluster: &Cluster) -> Result<()> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let selector = format!("involvedObject.kind=LBProducer,involvedObject.name={PRODUCER}");
    let of_producer = ListParams::default().fields(&selector);
    let deleted = events.delete_collection(&DeleteParams::default(), &of_producer).await;
    deleted.map(drop).with_context(|| format!("delete the Events of LBProducer {PRODUCER}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_definitions() {
        let (policy, binding) = lb_desired::crd::admission();
        assert_eq!([policy.name_any(), binding.name_any()], [POLICY, POLICY]);
        assert_eq!(lb_desired::crd::CONFIRM_DELETE, CONFIRM_DELETE);
        assert!(lb_desired::crd::all().iter().all(|definition| definition.spec.group == GROUP));
    }
}
