//! The custom resources of group `lunchbadger.io`, version `v1alpha1`.
//!
//! Children (`LBWorkspace`, `LBGateway`, `LBFunction`) are the durable blueprint of a producer: no secret and no
//! file content stands in them.

mod admission;
mod condition;
mod function;
mod gateway;
mod producer;
mod rbac;
mod schema;
mod workspace;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

pub use admission::{CONFIRM_DELETE, admission};
pub use condition::{Condition, ConditionStatus, ConditionType, condition, set_condition};
pub use function::{FunctionTrigger, LBFunction, LBFunctionSpec};
pub use gateway::{ConfigReference, LBGateway, LBGatewaySpec};
pub use producer::{
    Access, EnvironmentStatus, LBProducer, LBProducerSpec, LBProducerStatus, LimitOverrides,
    RECONCILE_REQUESTED_AT, RevisionStatus, in_default_environment,
};
pub use rbac::{
    CONFIGSTORE_ACCOUNT, GIT_API_ACCOUNT, REVIEWER_ROLE, SERVICE_ACCOUNT, TARGET_ROLE, WATCHER_ACCOUNT,
    accounts, rbac, target_binding,
};
pub use workspace::{ChildStatus, LBWorkspace, LBWorkspaceSpec};

/// The API group.
pub const GROUP: &str = "lunchbadger.io";
/// The one field manager of everything that the Actualizer applies.
pub const FIELD_MANAGER: &str = "lunchbadger-actualizer";

/// The custom resource definitions, in the order in which `crds print` shows them. Descriptions are one paragraph
/// each: `kubectl explain` would keep the line breaks of our comments.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![LBProducer::crd(), LBWorkspace::crd(), LBGateway::crd(), LBFunction::crd()];
    let versions = definitions.iter_mut().flat_map(|definition| &mut definition.spec.versions);
    let schemas = versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    schemas.for_each(join_lines);
    definitions
}

fn join_lines(schema: &mut JSONSchemaProps) {
    if let Some(description) = &mut schema.description {
        *description = description.replace('\n', " ");
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| join_lines(property));
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => join_lines(items),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(join_lines),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        join_lines(values);
    }
}
