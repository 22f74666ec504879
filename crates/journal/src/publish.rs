//! Facts on their way into the log.

pub(crate) mod append;
pub(crate) mod batch;
pub(crate) mod erase;
