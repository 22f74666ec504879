//! The tables of the read model, one module for each, and the lists that are read from them.

pub mod anonymised;
pub mod attempts;
pub mod audit;
pub mod counts;
pub mod deliveries;
pub mod erasures;
pub mod events;
pub mod figures;
pub mod health;
pub mod jobs;
pub(crate) mod known_events;
pub mod leads;
mod leases;
pub mod log;
pub mod outcomes;
pub mod problems;
pub mod values;
