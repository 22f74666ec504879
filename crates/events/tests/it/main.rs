//! What is stored and what the API says, there and back.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod damage;
mod exchanges;
mod jobs;
mod notices;
mod older;
mod roundtrip;
