//! Conversions between stored facts and the domain, in both directions.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

mod damage;
mod exchanges;
mod jobs;
mod manifests;
mod notices;
mod older;
mod registry_facts;
mod roundtrip;
mod searchable;
mod strategies;
