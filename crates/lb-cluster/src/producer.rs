//! Producers: made by the roster, edited by operators, deleted by purge alone.

use kube::Resource;
use kube::api::{Patch, PatchParams};
pub use lb_desired::crd::CONFIRM_DELETE;
use lb_desired::crd::LBProducer;
use lb_vocab::ProducerName;
use serde_json::{Value, json};

use crate::collection::{Collection, Manner, NO_OBJECTS, Scope};
use crate::connect::Cluster;
use crate::custom::{Custom, Store};
use crate::error::ApiError;
use crate::identity::{Uid, Version};

/// The field manager of what operators change: another one than the Actualizer's, so that it never takes theirs back.
pub const OPERATOR: &str = "lunchbadger-cli";

impl Cluster {
    /// Makes a producer with everything at its default. `false`: it is there already, and is not touched.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub async fn create_producer(
        &self,
        store: &Store<LBProducer>,
        name: &ProducerName,
    ) -> Result<bool, ApiError> {
        if store.get("", name.as_str()).is_some() {
            return Ok(false);
        }
        let manifest = json!({
            "apiVersion": LBProducer::api_version(&()),
            "kind": LBProducer::kind(&()),
            // One that is there answers with a conflict.
            "metadata": {"name": name, "resourceVersion": NO_OBJECTS},
            "spec": {},
        });
        let to = Collection::of::<LBProducer>(&Scope::Everywhere);
        match self.server_side_apply(&to, name.as_str(), &manifest, Manner::default()).await {
            Ok(object) => store.enter(&format!("create LBProducer {name}"), object).map(|_| true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a producer, as an operator's command: confirms it first. `false`: it is not there.
    ///
    /// # Errors
    /// Where it cannot be confirmed or deleted.
    pub async fn delete_producer(&self, name: &ProducerName) -> Result<bool, ApiError> {
        let all = Collection::of::<LBProducer>(&Scope::Everywhere);
        let confirm = json!({"metadata": {"annotations": {CONFIRM_DELETE: name}}});
        let confirmed = match self.merge(&all, name.as_str(), &confirm).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        let text = |field: &str| confirmed["metadata"][field].as_str().unwrap_or_default();
        self.delete(&all, name.as_str(), Uid::parse(text("uid")), Version::parse(text("resourceVersion")))
            .await
    }

    /// Changes a resource as an operator does: a JSON merge patch of spec or annotations.
    ///
    /// # Errors
    /// Where it is refused.
    pub async fn edit<K: Custom>(&self, object: &K, change: &Value) -> Result<K, ApiError> {
        let meta = object.meta();
        let scope = meta.namespace.clone().map_or(Scope::Everywhere, Scope::Namespace);
        let name = meta.name.as_deref().unwrap_or_default();
        let changed = self.merge(&Collection::of::<K>(&scope), name, change).await?;
        serde_json::from_value(changed).map_err(|_| ApiError::Malformed {
            attempt: format!("edit {} {name}", K::kind(&())),
            what: "it does not fit its schema".to_owned(),
        })
    }

    async fn merge(&self, to: &Collection, name: &str, change: &Value) -> Result<Value, ApiError> {
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let request = to.request().patch(name, &parameters, &Patch::Merge(change));
        self.send(&format!("edit {} {name}", to.kind), request).await
    }
}
