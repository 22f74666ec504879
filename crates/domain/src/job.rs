//! Work on many deliveries that takes its time: repeating failed ones, and bringing a destination what it missed.
//!
//! A job is told by facts like everything else: [`facts`] is what is recorded, [`state`] what the facts add up to,
//! [`decide`] what becomes of each delivery or event that a job comes to, [`pace`] when the next one may go.
//!
//! Guarantee: where a job stands is in its facts alone, so whoever works on it may die at any time, and another goes on
//! from its cursor. What was done after the cursor was last recorded may be done again, and is recognised by its id.

mod decide;
mod facts;
mod pace;
mod state;

pub use decide::{
    Candidate, JobRefusal, MOST_LISTED, MOST_SAMPLED, Verdict, cancel, check, consider_event, consider_retry, finish,
};
pub use facts::{
    Counts, Cursor, JobCancelRequested, JobFact, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Plan,
    Progress, Recovery, Refused, Sample,
};
pub use pace::{Pace, Spread};
pub use state::{IllegalJob, Job, JobStatus};
