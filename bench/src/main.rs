//! `make bench`: what Leadline does in a second, what it costs, and what the machine could do at best.
//!
//! Everything runs on one machine in one run: the system under test (`leadline up`, a release build), the load generator
//! and the receivers. Each figure stands beside a ceiling measured in the same run: a bare client that posts the same
//! bodies to the same receiver. Figures of different machines, or of one machine at different times, do not compare.

mod isolation;
mod load;
mod machine;
mod pages;
mod receiver;
mod system;
mod throughput;

use anyhow::Context as _;
use clap::Parser;
use serde_json::{Value, json};

/// Measures Leadline
#[derive(Debug, Parser)]
struct Bench {
    /// The leadline program, a release build
    #[arg(long, default_value = "target/release/leadline")]
    program: std::path::PathBuf,
    /// What to measure: throughput, latency, isolation, parked, pages
    #[arg(long, value_delimiter = ',', default_value = "throughput,latency,isolation,parked,pages")]
    only: Vec<String>,
    /// Leads for each measurement of throughput
    #[arg(long, default_value_t = 20_000)]
    leads: usize,
    /// Deliveries that wait for a dead destination
    #[arg(long, default_value_t = 200_000)]
    waiting: usize,
    /// Deliveries in the read model whose pages are read
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bench = Bench::parse();
    let program = bench.program.canonicalize();
    let program = program.with_context(|| format!("there is no {}; make bench builds it", bench.program.display()))?;
    let mut results = serde_json::Map::new();
    let wanted = |name: &str| bench.only.iter().any(|only| only == name);
    if wanted("throughput") {
        results.insert("throughput".into(), throughput::measure(&program, bench.leads).await?);
    }
    if wanted("latency") {
        results.insert("latency".into(), throughput::latencies(&program).await?);
    }
    if wanted("isolation") {
        results.insert("isolation".into(), isolation::measure(&program).await?);
    }
    if wanted("parked") {
        results.insert("parked".into(), isolation::parked(&program, bench.waiting).await?);
    }
    if wanted("pages") {
        results.insert("pages".into(), pages::measure(&program, bench.rows).await?);
    }
    println!("\n{:#}", json!({"machine": machine::describe(), "results": Value::Object(results)}));
    Ok(())
}
