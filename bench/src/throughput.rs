//! How many leads a second go from a publish to a receiver, how long each takes, and what it costs.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{load, receiver::Receiver, system::System};

/// How long a measurement may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Connections and events in one request of the load generator.
const CONNECTIONS: usize = 8;
const BATCH: usize = 50;

/// Leads as fast as they go, to one destination and to a hundred, with the broker's usual flushing and with every write
/// flushed.
pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    let receiver = Receiver::start(false).await?;
    let ceiling = load::ceiling(&receiver.url(), leads, CONNECTIONS).await?;
    receiver.take();
    println!("{:<34}{ceiling:>10.0} / s  (a bare client)", "ceiling");
    let mut results = vec![];
    for (flush, destinations) in [("interval", 1), ("interval", 100), ("every-write", 1)] {
        results.push(run(program, leads, flush, destinations).await?);
    }
    Ok(json!({"ceiling_per_second": ceiling.round(), "runs": results}))
}

async fn run(program: &Path, leads: usize, flush: &str, destinations: usize) -> anyhow::Result<Value> {
    let system = System::start(program, &["--nats-flush", flush]).await?;
    let receiver = Receiver::start(false).await?;
    let interfaces: Vec<_> = (0..destinations).map(|n| format!("i{n}")).collect();
    for interface in &interfaces {
        system.interface(interface, &receiver.url()).await?;
    }
    let idle = system.usage();
    load::publish(&system, &interfaces, leads / 10, CONNECTIONS, BATCH).await?;
    receiver.wait_for((leads / 10) as u64, PATIENCE).await;
    receiver.take();

    let (before, begin) = (system.usage(), Instant::now());
    load::publish(&system, &interfaces, leads, CONNECTIONS, BATCH).await?;
    let published = begin.elapsed().as_secs_f64();
    let received = receiver.wait_for(leads as u64, PATIENCE).await;
    let took = begin.elapsed().as_secs_f64();
    let after = system.usage();
    ensure!(received == leads as u64, "{received} of {leads} leads arrived");
    let (services, broker) = after.cpu_since(&before);
    let per_lead = |cpu: f64| cpu / leads as f64;
    let name = format!("{destinations} destination(s), {flush}");
    println!(
        "{name:<34}{:>10.0} / s  CPU {:.3} ms (services {:.3}, broker {:.3}), memory {:.0} MiB idle, {:.0} MiB now",
        leads as f64 / took,
        per_lead(services + broker),
        per_lead(services),
        per_lead(broker),
        idle.services_memory + idle.broker_memory,
        after.services_memory + after.broker_memory,
    );
    system.stop().await;
    Ok(json!({
        "destinations": destinations,
        "flush": flush,
        "delivered_per_second": (leads as f64 / took).round(),
        "published_per_second": (leads as f64 / published).round(),
        "cpu_ms_per_delivery": {"services": per_lead(services), "broker": per_lead(broker)},
        "memory_mib": {"services": after.services_memory, "broker": after.broker_memory},
    }))
}

/// How long a lead takes from the publish call to the receiver, at some rates.
pub(crate) async fn latencies(program: &Path) -> anyhow::Result<Value> {
    let system = System::start(program, &[]).await?;
    let receiver = Receiver::start(false).await?;
    system.interface("i", &receiver.url()).await?;
    let interfaces = ["i".to_owned()];
    let warm = load::publish_at(&system, &interfaces, 200, Duration::from_secs(2)).await?;
    receiver.wait_for(warm, PATIENCE).await;
    let mut results = vec![];
    for rate in [100, 500, 2_000] {
        receiver.take();
        let published = load::publish_at(&system, &interfaces, rate, Duration::from_secs(10)).await?;
        receiver.wait_for(published, PATIENCE).await;
        let mut latencies = receiver.take();
        ensure!(latencies.len() as u64 == published, "{} of {published} leads arrived", latencies.len());
        let ms = percentiles(&mut latencies);
        println!("{:<34}p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", format!("{rate} / s"), ms[0], ms[1], ms[2]);
        results.push(json!({"rate": rate, "p50_ms": ms[0], "p95_ms": ms[1], "p99_ms": ms[2]}));
    }
    system.stop().await;
    Ok(results.into())
}

/// p50, p95 and p99 in milliseconds.
pub(crate) fn percentiles(latencies: &mut [u64]) -> [f64; 3] {
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).map_or(0.0, |us| *us as f64 / 1_000.0)
    };
    [at(0.5), at(0.95), at(0.99)]
}
