//! The journal against a real broker.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod consumers;
mod health;
mod jobs;
mod journal;
mod leader;
mod streams;
mod support;
mod work;
