//! Lanes: each destination has one. A lane decides when the work of its destination starts, waits or is parked.

pub(crate) mod concurrency;
pub(crate) mod counter;
pub(crate) mod directory;
pub(crate) mod driver;
pub(crate) mod lane_queue;
pub(crate) mod order;
pub(crate) mod rate_limit;
pub(crate) mod report;
