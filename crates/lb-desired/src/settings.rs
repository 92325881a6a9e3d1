//! What an operator decides about every object.

/// Settings of plan and build.
#[derive(Clone, Debug)]
pub struct Settings {}
