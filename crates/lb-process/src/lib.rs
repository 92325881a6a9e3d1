//! What every process of ours has, whatever its roles: the system's clock, the environment that it was started with, limits of
//! the system, and an end that others ask for.

pub mod clock;
pub mod environment;
pub mod limits;
pub mod signals;
