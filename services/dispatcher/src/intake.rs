//! Where work comes from: lead events, in order or not, and requests, timers and parked work.

pub(crate) mod lead_events;
pub(crate) mod ordered;
pub(crate) mod requests;
