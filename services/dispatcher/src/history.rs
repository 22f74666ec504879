//! What this process knows of the past, so that a redelivered message repeats nothing.

pub(crate) mod attempts;
pub(crate) mod deliveries;
pub(crate) mod range;
