//! Appending facts, and erasing messages.

pub(crate) mod append;
pub(crate) mod batch;
pub(crate) mod erase;
pub(crate) mod message;
