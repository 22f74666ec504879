//! The time from the publish call to the receiver, at several rates.

use std::{path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Value, json};

use crate::harness::{
    load::{self, Target},
    receiver::{Answers, Receiver},
    statistics::percentiles,
    system::System,
    table::{head, row},
    usage::{Watch, rounded},
};

/// Leads per second.
const RATES: [u32; 3] = [100, 500, 2_000];
/// How long leads may take to arrive after the last was published.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rate and duration of the warm-up.
const WARM_UP: (u32, Duration) = (200, Duration::from_secs(2));

/// Measures each rate, beside a bare client at the same rate.
pub(crate) async fn measure(program: &Path, lasts: Duration) -> anyhow::Result<Value> {
    head("Latency: from before the publish call until the receiver has it");
    let system = System::start(program, &[]).await?;
    let receiver = Receiver::start(Answers::Well).await?;
    let interfaces = system.api.interfaces("i", 1, &receiver.url()).await?;
    let (published, bare) = (Target::system(&system.api, &interfaces), Target::receiver(&receiver.url()));
    let mut results = vec![];
    for target in [&published, &bare] {
        at(target, &receiver, WARM_UP.0, WARM_UP.1).await?;
    }
    for rate in RATES {
        let ceiling = at(&bare, &receiver, rate, lasts).await?;
        let watch = Watch::start(system.processes());
        let ms = at(&published, &receiver, rate, lasts).await?;
        let peak = rounded(watch.end().peak(), 1);
        let text = format!("{}  (a bare client: {}); peak {peak} MiB", text(ms), text(ceiling));
        row(&format!("{rate} / s"), &text);
        let (published, bare) = (shown(ms), shown(ceiling));
        results.push(json!({"rate": rate, "published": published, "bare_client": bare, "memory_peak_mib": peak}));
    }
    drop(system.stop().await);
    Ok(results.into())
}

async fn at(target: &Target, receiver: &Receiver, rate: u32, time: Duration) -> anyhow::Result<[f64; 3]> {
    receiver.take();
    let published = load::publish_at(target, rate, time).await?;
    let received = receiver.wait_for(published, PATIENCE).await;
    ensure!(received >= published, "{received} of {published} leads arrived within {PATIENCE:?}");
    Ok(percentiles(&mut receiver.take()))
}

fn text(ms: [f64; 3]) -> String {
    format!("p50 {:.2} ms, p95 {:.2} ms, p99 {:.2} ms", ms[0], ms[1], ms[2])
}

fn shown(ms: [f64; 3]) -> Value {
    json!({"p50_ms": ms[0], "p95_ms": ms[1], "p99_ms": ms[2]})
}
