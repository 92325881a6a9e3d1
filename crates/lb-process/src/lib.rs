//! What every process of ours has, whatever its roles: the system's clock, the environment that it was started with, and an
//! end that others ask for.

pub mod clock;
pub mod environment;
pub mod signals;
