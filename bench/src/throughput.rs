//! Leads per second from the publish call to the receiver, and the cost of each.

use std::path::Path;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    flood::{CONNECTIONS, Over, flood},
    load::{self, Target},
    receiver::{Answers, Receiver},
    system::System,
    table::{head, row},
    usage::rounded,
};

/// The interface for publishing, the flush mode of the broker, and the number of destinations.
const RUNS: [(Over, &str, usize); 7] = [
    (Over::Http, "interval", 1),
    (Over::Http, "interval", 100),
    (Over::Http, "interval", 1_000),
    (Over::Grpc, "interval", 1),
    (Over::Grpc, "interval", 100),
    (Over::Grpc, "interval", 1_000),
    (Over::Http, "every-write", 1),
];

/// Runs floods, each in a new system, and measures a bare client for comparison.
pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Throughput: {leads} leads, published, delivered, received"));
    let ceiling = ceiling(leads).await?;
    row("a bare client at the same receiver", &format!("{ceiling:>7.0} / s"));
    let mut results = vec![];
    for (over, flush, destinations) in RUNS {
        let system = System::start(program, &["--nats-flush", flush]).await?;
        let flooded = flood(&system.api, system.processes(), destinations, over, leads).await?;
        row(&format!("{}, {destinations} destinations, {flush}", over.name()), &flooded.text());
        let mut json = flooded.json();
        json["over"] = over.name().into();
        json["flush"] = flush.into();
        json["destinations"] = destinations.into();
        json["share_of_ceiling"] = rounded(flooded.delivered_per_second / ceiling, 3).into();
        results.push(json);
        drop(system.stop().await);
    }
    Ok(json!({"leads": leads, "ceiling_per_second": ceiling.round(), "runs": results}))
}

/// Bodies per second that a bare client posts to the same receiver.
async fn ceiling(leads: usize) -> anyhow::Result<f64> {
    let receiver = Receiver::start(Answers::Well).await?;
    let target = Target::receiver(&receiver.url());
    load::publish(&target, leads / 10, CONNECTIONS, 1).await?;
    let begin = Instant::now();
    load::publish(&target, leads, CONNECTIONS, 1).await?;
    Ok(leads as f64 / begin.elapsed().as_secs_f64())
}
