//! Maintenance: work that no call waits for. It uses the read model and never answers a call.
//!
//! * [`job_runner`] works on bulk retries and recoveries
//! * [`reconciler`] finds missing and stuck deliveries
//! * [`retention`] anonymises leads beyond the retention of their interface, [`eraser`] erases their messages from the
//!   streams
//! * [`pruner`] deletes rows that are older than `--keep-history` from the read model
//!
//! Guarantee: any number of processes may run maintenance. Leases and the work queue of jobs decide which process
//! works. Only the eraser works in each of them.

mod anonymise_error;
mod eraser;
mod job_runner;
mod measured;
mod pruner;
mod reconciler;
mod retention;

use read_model::{History, Sources};
pub use reconciler::Options;
use runtime::{NeededBy, Platform, Service};

/// The name of the service.
const NAME: &str = "maintenance";

/// Starts every part of maintenance. The parts end with the drain of the platform.
pub fn start(options: Options, history: History, sources: &Sources, platform: &Platform) -> Service {
    let latch = platform.readiness.latch_for(NAME, NeededBy::Only(&[NAME]));
    measured::observe(&sources.repairs);
    job_runner::start(sources, platform);
    reconciler::start(options, sources, platform);
    pruner::start(history, sources, platform);
    eraser::start(sources, platform);
    retention::start(sources, platform);
    latch.ready();
    Service::new(NAME)
}
