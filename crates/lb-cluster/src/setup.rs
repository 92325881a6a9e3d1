//! What has to be there before anything else: our CRDs, namespaces.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use lb_desired::crd::FIELD_MANAGER;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::collection::{Collection, Manner, Scope};
use crate::connect::Cluster;
use crate::error::ApiError;

/// How long is waited between two questions whether a kind is served.
const PAUSE: Duration = Duration::from_millis(50);

impl Cluster {
    /// Applies CRDs, and waits until the API server serves them.
    ///
    /// # Errors
    /// Where one is refused, or is not served `within` that time.
    pub async fn apply_crds(
        &self,
        crds: &[CustomResourceDefinition],
        within: Duration,
    ) -> Result<(), ApiError> {
        let all = Collection::new(
            "apiextensions.k8s.io/v1",
            "customresourcedefinitions",
            "CustomResourceDefinition",
            &Scope::Everywhere,
        );
        for crd in crds {
            let name = crd.metadata.name.as_deref().unwrap_or_default();
            let mut manifest = serde_json::to_value(crd).map_err(|error| ApiError::Malformed {
                attempt: format!("apply CustomResourceDefinition {name}"),
                what: error.to_string(),
            })?;
            if let Some(fields) = manifest.as_object_mut() {
                fields.remove("status");
            }
            let manner = Manner { force: true, dry_run: false };
            self.server_side_apply(&all, name, &manifest, manner).await?;
        }
        for crd in crds {
            self.until_served(crd, within).await?;
        }
        Ok(())
    }

    /// Makes a RoleBinding where there is none of its name, or puts it back.
    ///
    /// # Errors
    /// Where it can neither be read nor made.
    pub async fn ensure_role_binding(&self, binding: &RoleBinding) -> Result<(), ApiError> {
        let name = binding.metadata.name.as_deref().unwrap_or_default();
        let namespace = binding.metadata.namespace.clone().unwrap_or_default();
        let all = Collection::new(
            "rbac.authorization.k8s.io/v1",
            "rolebindings",
            "RoleBinding",
            &Scope::Namespace(namespace),
        );
        let attempt = format!("make RoleBinding {name}");
        let manifest = serde_json::to_value(binding)
            .map_err(|error| ApiError::Malformed { attempt, what: error.to_string() })?;
        let same = |standing: &Value| {
            ["roleRef", "subjects"].iter().all(|field| standing.get(field) == manifest.get(field))
        };
        if self.get(&all, name).await?.is_some_and(|standing| same(&standing)) {
            return Ok(());
        }
        // Whoever changed it has its fields.
        let manner = Manner { force: true, dry_run: false };
        self.server_side_apply(&all, name, &manifest, manner).await.map(|_| ())
    }

    async fn until_served(&self, crd: &CustomResourceDefinition, within: Duration) -> Result<(), ApiError> {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        let attempt = format!("wait until CustomResourceDefinition {name} is served");
        let api: Api<CustomResourceDefinition> = Api::all(self.client().clone());
        let served = async {
            let established = await_condition(api, name, conditions::is_crd_established()).await;
            established
                .map_err(|error| ApiError::Malformed { attempt: attempt.clone(), what: error.to_string() })?;
            // A moment longer the server does not find it yet, or asks to wait until its storage is open.
            let objects: Api<DynamicObject> = Api::all_with(self.client().clone(), &resource(crd));
            while let Err(error) = objects.list_metadata(&ListParams::default().limit(1)).await {
                let error = ApiError::new(&attempt, error);
                if !matches!(error.code(), Some(404 | 429)) {
                    return Err(error);
                }
                sleep(PAUSE).await;
            }
            Ok(())
        };
        match timeout(within, served).await {
            Ok(served) => served,
            Err(_) => Err(ApiError::TimedOut { attempt, after: within }),
        }
    }

    /// Makes a namespace with these labels where there is none; one that is there is only read. Answers the labels of
    /// what stands, which say whose it is.
    ///
    /// # Errors
    /// Where it can neither be read nor made; a conflict where somebody made it at the same time.
    pub async fn ensure_namespace(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let all = Collection::new("v1", "namespaces", "Namespace", &Scope::Everywhere);
        let object = match self.get(&all, name).await? {
            Some(standing) => standing,
            None => {
                let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
                let parameters = PostParams { dry_run: false, field_manager: Some(FIELD_MANAGER.to_owned()) };
                let request = all.request().create(&parameters, manifest.to_string().into_bytes());
                self.send(&format!("create Namespace {name}"), request).await?
            }
        };
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        Ok(labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
    }
}

/// How its objects are asked for.
fn resource(crd: &CustomResourceDefinition) -> ApiResource {
    let spec = &crd.spec;
    let version = spec.versions.first().map(|version| version.name.clone()).unwrap_or_default();
    ApiResource {
        api_version: format!("{}/{version}", spec.group),
        group: spec.group.clone(),
        version,
        kind: spec.names.kind.clone(),
        plural: spec.names.plural.clone(),
    }
}
