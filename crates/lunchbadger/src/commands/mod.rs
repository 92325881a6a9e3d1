//! One module per command.

pub(crate) mod completion;
pub(crate) mod crds;
pub(crate) mod plan;
pub(crate) mod producers;
pub(crate) mod status;
pub(crate) mod why;
