//! The redelivery history as this process knows it, so that a redelivered message repeats no work.

pub(crate) mod attempts;
pub(crate) mod deliveries;
pub(crate) mod range;
