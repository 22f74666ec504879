//! The whole system, from outside: the real program, its public interfaces, and receivers that misbehave.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod access;
mod anonymising;
mod audit;
mod belongings;
mod command_line;
mod crashes;
mod dispatchers;
mod etiquette;
mod failures;
mod features;
mod happy;
mod holding;
mod jobs;
mod jobs_alone;
mod leads;
mod lists;
mod mails;
mod misbehaving;
mod missed;
mod operations;
mod ordering;
mod poison;
mod publishing;
mod rebuild;
mod reconciler;
mod registry;
mod requests;
mod retries;
mod states;
mod status;
mod tls;
mod traces;
mod trials;
mod watching;
mod world;
