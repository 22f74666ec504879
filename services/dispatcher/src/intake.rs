//! The sources of work: lead events, ordered or not, requests, timers and parked work.

pub(crate) mod lead_events;
pub(crate) mod ordered;
pub(crate) mod requests;
