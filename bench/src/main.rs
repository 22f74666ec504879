//! `make bench`: what Leadline does in a second, what it costs, how that grows, and what the machine could do at best.
//!
//! Everything runs on one machine in one run: the system under test (a release build), the load generator and the receivers,
//! which are this process. Throughput and latency stand beside a ceiling measured in the same run: a bare client that posts the
//! same bodies to the same receiver. Figures of different machines, or of one machine at different times, do not compare.
//! `docs/benchmarks.md` says what each figure means.

mod apart;
mod api;
mod filled;
mod flood;
mod growth;
mod isolation;
mod latency;
mod load;
mod machine;
mod pages;
mod parked;
mod parts;
mod pruning;
mod publishing;
mod rebuild;
mod receiver;
mod recovery;
mod scale;
mod startup;
mod stored;
mod system;
mod table;
mod throughput;
mod usage;

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::{Parser, ValueEnum};
use serde_json::json;

use crate::parts::Parts;

/// Measures Leadline
#[derive(Debug, Parser)]
struct Bench {
    /// The leadline program, a release build
    #[arg(long, default_value = "target/release/leadline")]
    program: PathBuf,
    /// What to measure [default: all of it]
    #[arg(long, value_delimiter = ',')]
    only: Vec<What>,
    /// File for the figures as JSON, which are printed at the end as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Leads for each measurement of throughput
    #[arg(long, default_value_t = 20_000, value_parser = positive)]
    leads: usize,
    /// How long each measurement at a steady rate lasts
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Deliveries that wait for a dead destination (parked)
    #[arg(long, default_value_t = 200_000, value_parser = positive)]
    waiting: usize,
    /// Deliveries in the read model whose pages are read (pages), or half of which are deleted (pruning)
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..))]
    rows: u32,
    /// Leads that are stored with their deliveries (growth, rebuild, startup)
    #[arg(long, default_value_t = 1_000_000, value_parser = positive)]
    stored: usize,
    /// Numbers of destinations (growth)
    #[arg(long, value_delimiter = ',', default_value = "10,1000,10000", value_parser = positive)]
    destinations: Vec<usize>,
    /// Retries that wait for their time (growth)
    #[arg(long, default_value_t = 100_000, value_parser = positive)]
    timers: usize,
}

/// The measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Leads per second, processor time and memory, over HTTP and gRPC, to 1, 100 and 1,000 destinations
    Throughput,
    /// Publishing events whose ids the publisher names, beside events whose ids ingest makes
    Publishing,
    /// From publish to receiver, at 100, 500 and 2,000 per second
    Latency,
    /// What destinations that hang cost the others
    Isolation,
    /// What deliveries that wait for a dead destination cost
    Parked,
    /// Pages of a large read model, on both databases
    Pages,
    /// What lists and writes notice of the deletion of old history, on both databases
    Pruning,
    /// Throughput and memory with more stored, more destinations, more timers
    Growth,
    /// Making the read model anew, on both databases
    Rebuild,
    /// Starting with much stored, after a stop and after a kill
    Startup,
    /// How long after the kill of each process everything is delivered that was accepted
    Recovery,
    /// 1, 2 and 4 dispatchers, with each service in a process of its own
    Scale,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut bench = Bench::parse();
    // Otherwise it would stand still itself while its receivers take more connections than ever before.
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
        "machine": machine::describe(), "sizes": sizes, "results": parts.results, "stolen_share": parts.stolen,
    });
    println!("\n{all:#}");
    if let Some(file) = &bench.json {
        std::fs::write(file, format!("{all:#}\n")).with_context(|| format!("{} cannot be written", file.display()))?;
    }
    Ok(())
}

impl Bench {
    async fn measure(&self, parts: &mut Parts) -> anyhow::Result<()> {
        let (program, lasts, leads) = (self.program.as_path(), Duration::from_secs(self.seconds), self.leads);
        if self.wants(What::Throughput) {
            parts.add("throughput", throughput::measure(program, leads).await?);
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
            let wanted = stored::Wanted { growth, rebuild, startup, stored: self.stored, leads };
            stored::measure(program, wanted, parts).await?;
        }
        if self.wants(What::Pages) {
            parts.add("pages", pages::measure(program, self.rows).await?);
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
        Ok(0) => Err("0 is too few".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
    }
}
