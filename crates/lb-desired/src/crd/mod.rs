//! The custom resources of group `lunchbadger.io`, version `v1alpha1`.
//!
//! Children (`LBWorkspace`, `LBGateway`, `LBFunction`) are the durable blueprint of a producer: no secret and no
//! file content stands in them.

mod condition;
mod function;
mod gateway;
mod producer;
mod workspace;

pub use condition::{Condition, ConditionStatus, ConditionType, condition, set_condition};
pub use function::{FunctionTrigger, LBFunction, LBFunctionSpec};
pub use gateway::{ConfigReference, LBGateway, LBGatewaySpec};
pub use producer::{
    Access, EnvironmentStatus, LBProducer, LBProducerSpec, LBProducerStatus, LimitOverrides, RevisionStatus,
};
pub use workspace::{ChildStatus, LBWorkspace, LBWorkspaceSpec};

/// The API group.
pub const GROUP: &str = "lunchbadger.io";
/// The one field manager of everything that the Actualizer applies.
pub const FIELD_MANAGER: &str = "lunchbadger-actualizer";
