//! One module per command.

pub(crate) mod brake;
pub(crate) mod completion;
pub(crate) mod crds;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod login;
pub(crate) mod plan;
pub(crate) mod producers;
pub(crate) mod reconcile;
pub(crate) mod rights;
pub(crate) mod roles;
pub(crate) mod status;
pub(crate) mod up;
pub(crate) mod whoami;
pub(crate) mod why;
