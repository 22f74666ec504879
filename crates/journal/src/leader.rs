//! Leases: one process at a time reads in order.

pub(crate) mod lease;
pub(crate) mod run;

pub use run::{LeaderError, run};
