//! The cost of parked deliveries: memory, and latency of a healthy destination, while they arrive and while they wait.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::harness::{
    load::{self, Target},
    receiver::{Answers, Receiver},
    statistics::percentiles,
    system::System,
    table::{head, row},
    usage::Watch,
};

/// Leads per second for the healthy destination.
const RATE: u32 = 400;
/// How long deliveries may take to be parked.
const SETTLED: Duration = Duration::from_secs(240);
/// Connections, and events in one request, of the flood.
const CONNECTIONS: usize = 4;
const BATCH: usize = 200;

/// Parks `waiting` deliveries for one unavailable destination.
pub(crate) async fn measure(program: &Path, waiting: usize, lasts: Duration) -> anyhow::Result<Value> {
    head(&format!("Parked: {waiting} deliveries wait for an unavailable destination"));
    let system = System::start(program, &[]).await?;
    let (well, ill) = (Receiver::start(Answers::Well).await?, Receiver::start(Answers::Never).await?);
    let for_well = Target::system(&system.api, &system.api.interfaces("well", 1, &well.url()).await?);
    let for_ill = Target::system(&system.api, &system.api.interfaces("ill", 1, &ill.url()).await?);
    let steady = async || {
        let published = load::publish_at(&for_well, RATE, lasts).await?;
        well.wait_for(published, SETTLED).await;
        anyhow::Ok(percentiles(&mut well.take())[2])
    };
    let before = steady().await?;
    let watch = Watch::start(system.processes());
    let (flooded, meanwhile) = tokio::join!(load::publish(&for_ill, waiting, CONNECTIONS, BATCH), steady());
    flooded?;
    let meanwhile = meanwhile?;
    system.api.settled(SETTLED).await?;
    let beside = steady().await?;
    let used = watch.end();
    let (idle, now) = used.idle_and_now();
    let text =
        format!("p99 {before:.2} ms before, {meanwhile:.2} ms while they arrive, {beside:.2} ms while they wait");
    row("a healthy destination beside it", &text);
    row("memory", &format!("{:+.0} MiB, {:.0} MiB at peak", now - idle, used.peak()));
    drop(system.stop().await);
    Ok(json!({
        "waiting": waiting, "memory_grown_mib": used.grown(), "memory_peak_mib": used.peak(),
        "healthy_p99_ms": beside, "healthy_p99_before_ms": before, "healthy_p99_during_flood_ms": meanwhile,
    }))
}
