//! Requests from templates, over the public interface of the crate.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod abuse;
mod common;
mod forms;
mod render;
