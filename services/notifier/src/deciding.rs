//! Deciding: [`watcher`] reads DELIVERIES and [`lead_watcher`] reads LEADS; both append the notices that the facts call
//! for. [`operations`] publishes lead events about Leadline's own work.

pub(crate) mod lead_watcher;
pub(crate) mod operations;
pub(crate) mod watcher;
