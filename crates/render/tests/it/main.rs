//! Requests from templates, from outside.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod abuse;
mod common;
mod forms;
mod render;
