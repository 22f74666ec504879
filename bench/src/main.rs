//! `make bench`: Leadline's throughput, latency and cost, how they grow, and the ceiling of the machine.
//!
//! Everything runs on one machine in one run: the system under test (a release build), and this process, which is the
//! load generator and the receivers. Throughput and latency are compared with a ceiling measured in the same run: a
//! bare client that posts the same bodies to the same receiver. Figures of different machines, or of one machine at
//! different times, do not compare. `docs/benchmarks.md` explains each figure.

mod console;
mod costs;
mod growth;
mod harness;
mod isolation;
mod large;
mod latency;
mod looking;
mod pages;
mod parked;
mod pruning;
mod publishing;
mod rebuild;
mod recovery;
mod scale;
mod startup;
mod throughput;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde_json::json;

use crate::harness::report::Parts;

/// Measures Leadline
#[derive(Debug, Parser)]
struct Bench {
    /// The leadline program, a release build
    #[arg(long, default_value = "target/release/leadline")]
    program: PathBuf,
    /// What to measure [default: everything]
    #[arg(long, value_delimiter = ',')]
    only: Vec<What>,
    /// Also write the figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leads for each measurement of throughput
    #[arg(long, default_value_t = 20_000, value_parser = positive)]
    leads: usize,
    /// How long each measurement at a steady rate lasts
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Deliveries that wait for an unavailable destination (parked)
    #[arg(long, default_value_t = 200_000, value_parser = positive)]
    waiting: usize,
    /// Deliveries in the read model (pages, console, pruning)
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    rows: u32,
    /// Stored leads with their deliveries (growth, rebuild, startup)
    #[arg(long, default_value_t = 1_000_000, value_parser = positive)]
    stored: usize,
    /// Numbers of destinations (growth)
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000", value_parser = positive)]
    destinations: Vec<usize>,
    /// Pending retries (growth)
    #[arg(long, default_value_t = 100_000, value_parser = positive)]
    timers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Leads per second, processor time and memory, over HTTP and gRPC, to 1, 100 and 1,000 destinations
    Throughput,
    /// The flood with and without the exchange of each attempt
    Exchanges,
    /// The flood with and without metrics
    Metrics,
    /// Publishing events whose ids the publisher names, compared with events whose ids ingest makes
    Publishing,
    /// From publish to receiver, at 100, 500 and 2,000 per second
    Latency,
    /// The cost of hanging destinations for the others
    Isolation,
    /// The cost of parked deliveries
    Parked,
    /// Pages, searches, problems, health and counts of a large read model, on both databases
    Pages,
    /// Opening the lists of the console with a large read model
    Console,
    /// Lists and writes during the deletion of old history, on both databases
    Pruning,
    /// Throughput and memory with more stored leads, destinations and timers
    Growth,
    /// Rebuilding the read model, on both databases
    Rebuild,
    /// Starting with many stored leads, after a stop and after a kill
    Startup,
    /// Time from the kill of each process until every accepted lead is delivered
    Recovery,
    /// 1, 2 and 4 dispatchers, with each service in a process of its own
    Scale,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut bench = Bench::parse();
    // The receivers hold more connections than the default limit allows.
    runtime::files::make_room();
    let program = bench.program.canonicalize();
    bench.program =
        program.with_context(|| format!("there is no {}; make bench builds it", bench.program.display()))?;
    let mut parts = Parts::new();
    bench.measure(&mut parts).await?;
    let sizes = json!({
        "leads": bench.leads, "seconds": bench.seconds, "waiting": bench.waiting, "rows": bench.rows,
        "stored": bench.stored, "destinations": bench.destinations, "timers": bench.timers,
    });
    let all = json!({
        "machine": harness::machine::describe(), "sizes": sizes, "results": parts.results, "stolen_share": parts.stolen,
    });
    println!("\n{all:#}");
    if let Some(file) = &bench.json {
        std::fs::write(file, format!("{all:#}\n")).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

impl Bench {
    async fn measure(&self, parts: &mut Parts) -> anyhow::Result<()> {
        let (program, lasts, leads) = (self.program.as_path(), Duration::from_secs(self.seconds), self.leads);
        if self.wants(What::Throughput) {
            parts.add("throughput", throughput::measure(program, leads).await?);
        }
        if self.wants(What::Exchanges) {
            parts.add("exchanges", costs::measure(program, costs::EXCHANGES, leads).await?);
        }
        if self.wants(What::Metrics) {
            parts.add("metrics", costs::measure(program, costs::METRICS, leads).await?);
        }
        if self.wants(What::Publishing) {
            parts.add("publishing", publishing::measure(program, leads).await?);
        }
        if self.wants(What::Latency) {
            parts.add("latency", latency::measure(program, lasts).await?);
        }
        if self.wants(What::Isolation) {
            parts.add("isolation", isolation::measure(program, lasts).await?);
        }
        if self.wants(What::Parked) {
            parts.add("parked", parked::measure(program, self.waiting, lasts).await?);
        }
        if self.wants(What::Recovery) {
            parts.add("recovery", recovery::measure(program).await?);
        }
        if self.wants(What::Scale) {
            parts.add("scale", scale::measure(program, leads).await?);
        }
        let (growth, rebuild, startup) =
            (self.wants(What::Growth), self.wants(What::Rebuild), self.wants(What::Startup));
        if growth {
            parts.add("growth_destinations", growth::destinations(program, &self.destinations, leads).await?);
            parts.add("growth_timers", growth::timers(program, self.timers, leads).await?);
        }
        if growth || rebuild || startup {
            let wanted = large::Wanted { growth, rebuild, startup, stored: self.stored, leads };
            large::measure(program, wanted, parts).await?;
        }
        if self.wants(What::Pages) {
            parts.add("pages", pages::measure(program, self.rows).await?);
        }
        if self.wants(What::Console) {
            parts.add("console", console::measure(program, self.rows).await?);
        }
        if self.wants(What::Pruning) {
            parts.add("pruning", pruning::measure(program, self.rows, lasts).await?);
        }
        Ok(())
    }

    fn wants(&self, what: What) -> bool {
        self.only.is_empty() || self.only.contains(&what)
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("the minimum is 1".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}
