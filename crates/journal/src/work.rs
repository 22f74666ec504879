//! Pending work: where the work of a delivery waits.

pub(crate) mod ordered_queue;
pub(crate) mod parking;
pub(crate) mod pending_work;
pub(crate) mod timers;
