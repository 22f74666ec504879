//! The event log against a real broker.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod health;
mod jobs;
mod journal;
