//! Where objects of one kind live, and the requests about them, in plain JSON: an object is compared as the server
//! sent it, without passing through types that might drop a field.

use kube::api::{DeleteParams, GetParams, Patch, PatchParams, Preconditions};
use kube::core::Request;
use lb_desired::build::LeafKind;
use lb_desired::crd::FIELD_MANAGER;
use serde_json::Value;

use crate::connect::Cluster;
use crate::error::ApiError;
use crate::identity::{Uid, Version};

/// The part of a cluster that is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every namespace; for cluster-scoped kinds this is the only one.
    Everywhere,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    fn path(&self) -> String {
        match self {
            Self::Everywhere => String::new(),
            Self::Namespace(name) => format!("namespaces/{name}/"),
        }
    }
}

/// A kind in a scope.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    /// For people: `Service`.
    pub(crate) kind: String,
    url: String,
}

impl Collection {
    pub(crate) fn new(api_version: &str, plural: &str, kind: &str, scope: &Scope) -> Self {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        Self { kind: kind.to_owned(), url: format!("/{root}/{api_version}/{}{plural}", scope.path()) }
    }

    pub(crate) fn of_leaf(kind: LeafKind, scope: &Scope) -> Self {
        Self::new(kind.api_version(), kind.plural(), kind.kind(), scope)
    }

    pub(crate) fn of<K: kube::Resource<DynamicType = ()>>(scope: &Scope) -> Self {
        Self::new(&K::api_version(&()), &K::plural(&()), &K::kind(&()), scope)
    }

    pub(crate) fn request(&self) -> Request {
        Request::new(self.url.clone())
    }
}

/// How to apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Take fields over from other managers.
    pub(crate) force: bool,
    /// Change nothing.
    pub(crate) dry_run: bool,
}

/// Requests about one object.
impl Cluster {
    pub(crate) async fn get(&self, from: &Collection, name: &str) -> Result<Option<Value>, ApiError> {
        let attempt = format!("read {} {name}", from.kind);
        let request = from.request().get(name, &GetParams::default());
        match self.send(&attempt, request).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn server_side_apply(
        &self,
        to: &Collection,
        name: &str,
        manifest: &Value,
        manner: Manner,
    ) -> Result<Value, ApiError> {
        let mut parameters = PatchParams::apply(FIELD_MANAGER).validation_strict();
        parameters.force = manner.force;
        parameters.dry_run = manner.dry_run;
        let request = to.request().patch(name, &parameters, &Patch::Apply(manifest));
        self.send(&format!("apply {} {name}", to.kind), request).await
    }

    pub(crate) async fn json_patch(
        &self,
        to: &Collection,
        name: &str,
        subresource: Option<&str>,
        operations: json_patch::Patch,
    ) -> Result<Value, ApiError> {
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::<()>::Json(operations);
        let request = match subresource {
            None => to.request().patch(name, &parameters, &patch),
            Some(subresource) => to.request().patch_subresource(subresource, name, &parameters, &patch),
        };
        self.send(&format!("patch {} {name}", to.kind), request).await
    }

    /// Deletes exactly the object and version that was looked at, what it owns in the background. `false`: it is
    /// gone already.
    pub(crate) async fn delete(
        &self,
        from: &Collection,
        name: &str,
        uid: Uid,
        version: Option<Version>,
    ) -> Result<bool, ApiError> {
        let preconditions = Preconditions {
            uid: Some(uid.to_string()),
            resource_version: version.map(|version| version.to_string()),
        };
        let parameters = DeleteParams::background().preconditions(preconditions);
        let request = from.request().delete(name, &parameters);
        match self.send(&format!("delete {} {name}", from.kind), request).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The version that no object has, where one is to be created: etcd's first revision is empty.
pub(crate) const NO_OBJECTS: &str = "1";

/// The first operation of a JSON patch that is refused with a conflict where the object moved. `test` would be
/// refused as invalid, which cannot be told from a patch that is wrong.
pub(crate) fn only_at(version: Version) -> Value {
    serde_json::json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version.to_string()})
}

/// Operations as a patch.
pub(crate) fn patch_of(attempt: &str, operations: Vec<Value>) -> Result<json_patch::Patch, ApiError> {
    serde_json::from_value(Value::Array(operations)).map_err(|error| ApiError::Malformed {
        attempt: attempt.to_owned(),
        what: format!("not a JSON patch ({:?})", error.classify()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_those_of_the_api() {
        let here = Scope::Namespace("customer".into());
        assert_eq!(Collection::of_leaf(LeafKind::Secret, &here).url, "/api/v1/namespaces/customer/secrets");
        assert_eq!(
            Collection::of_leaf(LeafKind::Ingress, &Scope::Everywhere).url,
            "/apis/networking.k8s.io/v1/ingresses"
        );
        assert_eq!(
            Collection::of::<lb_desired::crd::LBGateway>(&here).url,
            "/apis/lunchbadger.io/v1alpha1/namespaces/customer/lbgateways"
        );
    }
}
