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
mod workspace;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use admission::{CONFIRM_DELETE, admission};
pub use condition::{Condition, ConditionStatus, ConditionType, condition, set_condition};
pub use function::{FunctionTrigger, LBFunction, LBFunctionSpec};
pub use gateway::{ConfigReference, LBGateway, LBGatewaySpec};
pub use producer::{
    Access, EnvironmentStatus, LBProducer, LBProducerSpec, LBProducerStatus, LimitOverrides, RevisionStatus,
};
pub use rbac::{SERVICE_ACCOUNT, TARGET_ROLE, rbac, target_binding};
pub use workspace::{ChildStatus, LBWorkspace, LBWorkspaceSpec};

/// The API group.
pub const GROUP: &str = "lunchbadger.io";
/// The one field manager of everything that the Actualizer applies.
pub const FIELD_MANAGER: &str = "lunchbadger-actualizer";

/// The custom resource definitions, in the order in which `crds print` shows them.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![LBProducer::crd(), LBWorkspace::crd(), LBGateway::crd(), LBFunction::crd()]
}
