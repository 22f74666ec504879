//! Tests of the domain's rules over its public interface: tables, properties and histories.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod anonymisation;
mod attempts;
mod belongings;
mod common;
mod conditions;
mod configuration;
mod deactivation;
mod delivery;
mod executions;
mod explaining;
mod histories;
mod jobs;
mod keys;
mod limits;
mod lost_work;
mod mails;
mod ordered_queue;
mod people;
mod problems;
mod registry;
mod resends;
mod routing;
mod tracing;
mod watching;
