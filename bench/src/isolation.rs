//! What sick destinations cost the healthy ones.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use crate::{load, receiver::Receiver, system::System, throughput::percentiles};

/// How long each measurement lasts, and how many leads a second each destination gets in it.
const LASTS: Duration = Duration::from_secs(20);
const RATE: u32 = 400;
/// How long everything that was published may take to be where it has to wait.
const SETTLED: Duration = Duration::from_secs(240);
/// Leads in one request when many are published.
const BATCH: usize = 200;

/// One of two, then fifty of a hundred destinations hang for 15 s each; the same load without the sick ones first.
pub(crate) async fn measure(program: &Path) -> anyhow::Result<Value> {
    let mut results = vec![];
    for (healthy, sick) in [(1, 1), (50, 50)] {
        let alone = run(program, healthy, 0).await?;
        let beside = run(program, healthy, sick).await?;
        let share = beside.0 / alone.0;
        let ratio = beside.1 / alone.1;
        println!(
            "{:<34}healthy get {:.1} % of their throughput, p99 is {ratio:.2} times ({:.2} ms, alone {:.2} ms)",
            format!("{sick} of {} hang", healthy + sick),
            share * 100.0,
            beside.1,
            alone.1,
        );
        results.push(json!({
            "healthy": healthy, "hanging": sick, "throughput_share": share,
            "p99_ms": beside.1, "p99_alone_ms": alone.1, "p99_ratio": ratio,
        }));
    }
    Ok(results.into())
}

/// Leads a second that reach the healthy destinations while they are published, and their p99 in milliseconds.
async fn run(program: &Path, healthy: usize, sick: usize) -> anyhow::Result<(f64, f64)> {
    let system = System::start(program, &[]).await?;
    let (well, ill) = (Receiver::start(false).await?, Receiver::start(true).await?);
    let mut interfaces = [vec![], vec![]];
    for (kind, (count, receiver)) in [(healthy, &well), (sick, &ill)].into_iter().enumerate() {
        for n in 0..count {
            let id = format!("{}{n}", ["well", "ill"][kind]);
            system.interface(&id, &receiver.url()).await?;
            interfaces[kind].push(id);
        }
    }
    let [for_well, for_ill] = interfaces;
    let warm = load::publish_at(&system, &for_well, RATE, Duration::from_secs(2)).await?;
    well.wait_for(warm, SETTLED).await;
    well.take();
    let to_sick =
        async { if sick > 0 { load::publish_at(&system, &for_ill, RATE, LASTS).await.map(drop) } else { Ok(()) } };
    let to_well = async {
        let published = load::publish_at(&system, &for_well, RATE, LASTS).await?;
        // What is late counts as late, and what comes later than a second after the end not at all.
        let received = well.wait_for(published, Duration::from_secs(1)).await;
        anyhow::Ok((received as f64 / LASTS.as_secs_f64(), percentiles(&mut well.take())[2]))
    };
    let (measured, sent) = tokio::join!(to_well, to_sick);
    sent?;
    system.stop().await;
    measured
}

/// So many deliveries wait for one dead destination: what they cost in memory, and what they cost a healthy one, while
/// they come and once they wait.
pub(crate) async fn parked(program: &Path, waiting: usize) -> anyhow::Result<Value> {
    let system = System::start(program, &[]).await?;
    let (well, ill) = (Receiver::start(false).await?, Receiver::start(true).await?);
    system.interface("well", &well.url()).await?;
    system.interface("ill", &ill.url()).await?;
    let (for_well, for_ill) = (["well".to_owned()], ["ill".to_owned()]);
    let steady = async || {
        let published = load::publish_at(&system, &for_well, RATE, Duration::from_secs(10)).await?;
        well.wait_for(published, SETTLED).await;
        anyhow::Ok(percentiles(&mut well.take())[2])
    };
    let alone = steady().await?;
    let before = system.usage();
    let (flooded, meanwhile) = tokio::join!(load::publish(&system, &for_ill, waiting, 4, BATCH), steady());
    flooded?;
    let meanwhile = meanwhile?;
    system.settled(SETTLED).await?;
    let beside = steady().await?;
    let after = system.usage();
    let grown = after.services_memory - before.services_memory;
    let broker = after.broker_memory - before.broker_memory;
    println!(
        "{:<34}services {grown:+.0} MiB, broker {broker:+.0} MiB; a healthy one: p99 {beside:.2} ms, before {alone:.2} ms, \
         while they came {meanwhile:.2} ms",
        format!("{waiting} wait for a dead one"),
    );
    system.stop().await;
    Ok(json!({
        "waiting": waiting, "services_mib": grown, "broker_mib": broker,
        "healthy_p99_ms": beside, "healthy_p99_before_ms": alone, "healthy_p99_during_flood_ms": meanwhile,
    }))
}
