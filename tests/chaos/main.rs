//! Everything that can die is killed, under load, in an order that a seed decides; afterwards what was accepted is held
//! against what was received and against the read model.
//!
//! [`fire`] is the run; [`stage`] the processes that it kills, [`plan`] the order, [`publishers`] and [`receivers`] the
//! two ends, [`ledger`] the book in which both are kept, [`audit`] the comparison, and [`report`] what is told of it.
//! In [`cluster`], [`disk`] and [`clock`] something else happens in place of the killing, or besides. Pauses are part of
//! the plan and make the load; nothing is waited for by sleeping. `make chaos` makes it long.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod audit;
mod clock;
mod cluster;
mod disk;
mod fire;
mod ledger;
mod plan;
mod publishers;
mod receivers;
mod report;
mod shown;
mod stage;
mod wants;
