//! Requests from templates, from outside.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod abuse;
mod common;
mod forms;
mod render;
