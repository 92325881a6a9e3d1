//! Custom resources, plan and build: from what a producer keeps in git to Kubernetes objects, purely.
//!
//! * [`crd`]: the four custom resources, as the API server knows them.
//! * [`settings`]: what an operator decides about every object, read once.
//! * [`plan`]: decoded project -> one decision per component, and the child resources' specs.
//! * [`build`]: a child resource's spec -> exactly its Kubernetes objects.
//!
//! A product noun (`workspace`, `gateway`, `function`, `producer`) is a module of the same name in each of them.

pub mod build;
pub mod crd;
pub mod plan;
pub mod settings;
