//! Leases: one process at a time reads in order.

pub(crate) mod lease;
