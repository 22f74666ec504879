//! Calls to a running system: connections, their contexts, and the session of a command.

pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod contexts;
pub(crate) mod names;
pub(crate) mod session;
