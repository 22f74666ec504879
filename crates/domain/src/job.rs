//! Jobs: bulk retries of failed deliveries, and recoveries, which send a destination the events that it missed.
//!
//! [`facts`] are stored, and [`state`] folds them. [`decide`] decides about each delivery or event that a job reaches.
//! [`pace`] decides when the next one may start.
//!
//! Guarantee: the state of a job is only in its facts. A job runner may die at any time, and another one continues from
//! the cursor. The work since the last stored cursor may be repeated; computed ids make the repetition harmless.

mod decide;
mod facts;
mod pace;
mod state;

pub use decide::{
    Candidate, JobDecision, JobRefusal, MAX_LISTED, MAX_SAMPLED, cancel, check, consider_event, consider_retry, finish,
};
pub use facts::{
    Counts, Cursor, JobCancelRequested, JobFact, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Outcomes,
    Plan, Progress, Recovery, Refused, Sample,
};
pub use pace::{Pace, Spread};
pub use state::{IllegalJob, Job, JobStatus};
