//! The redelivery history of this process: a redelivered message repeats nothing.

pub(crate) mod attempts;
pub(crate) mod deliveries;
pub(crate) mod range;
