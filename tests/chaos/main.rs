//! Kills every process under load, in an order that a seed decides. Then compares accepted events with received
//! requests and with the read model.
//!
//! [`scenario`] is the run, [`stage`] has the processes, [`plan`] decides the order, [`publishers`] and [`receivers`]
//! are the two ends, [`ledger`] records both, [`audit`] compares them, and [`report`] prints the result. [`cluster`],
//! [`disk`] and [`clock`] add other faults. Pauses are part of the plan and shape the load; no test sleeps to wait for
//! something. `make chaos` runs longer.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod audit;
mod clock;
mod cluster;
mod disk;
mod expectations;
mod ledger;
mod plan;
mod program;
mod publishers;
mod read_back;
mod receivers;
mod report;
mod scenario;
mod stage;
