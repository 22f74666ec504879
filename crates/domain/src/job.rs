//! Jobs: bulk retries of failed deliveries, and recoveries, which bring a destination the events that it missed.
//!
//! [`facts`] are stored, [`state`] folds them, [`decide`] says what happens to each delivery or event that a job
//! reaches, and [`pace`] when the next one may start.
//!
//! Guarantee: the state of a job is in its facts alone. A job runner may die at any time, and another one continues
//! from the cursor. The work since the last stored cursor may happen again; its ids show that it is a repetition.

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
