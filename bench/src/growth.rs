//! How cost grows with the number of destinations and of pending timers. (With the number of stored leads:
//! `large.rs`.)

use std::{path::Path, time::Duration};

use api::duration_to_api;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    flood::{Flood, Over},
    load::{self, Target},
    receiver::{Answers, Receiver},
    system::System,
    table::{head, row},
    usage::Watch,
};

/// How long the system may take to set the timers of failed attempts.
const SETTLED: Duration = Duration::from_secs(900);
/// The pause before a retry: the measurement ends long before.
const RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// The number of failing destinations, so that a single lane is not the bottleneck.
const FAILING: usize = 8;
/// Connections, and events per request, for the failing destinations.
const CONNECTIONS: usize = 4;
const BATCH: usize = 200;

/// Floods each number of destinations, in a new system each time.
pub(crate) async fn destinations(program: &Path, counts: &[usize], leads: usize) -> anyhow::Result<Value> {
    head(&format!("Growth: {leads} leads to more and more destinations"));
    let mut results = vec![];
    for &count in counts {
        let system = System::start(program, &[]).await?;
        let receiver = Receiver::start(Answers::Well).await?;
        let begin = Instant::now();
        let interfaces = system.api.interfaces("i", count, &receiver.url()).await?;
        let configured = begin.elapsed().as_secs_f64();
        let flooded = flood(&system, &interfaces, &receiver).run(leads).await?;
        row(&format!("{count} destinations"), &flooded.text());
        let mut json = flooded.json();
        json["destinations"] = count.into();
        json["configured_per_second"] = (count as f64 / configured).round().into();
        results.push(json);
        drop(system.stop().await);
    }
    Ok(results.into())
}

/// Floods a healthy destination before and while `timers` retries of other destinations are pending.
pub(crate) async fn timers(program: &Path, timers: usize, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Growth: {leads} leads while {timers} timers are pending"));
    let system = System::start(program, &[]).await?;
    let (well, failing) = (Receiver::start(Answers::Well).await?, Receiver::start(Answers::Error).await?);
    let interfaces = system.api.interfaces("well", 1, &well.url()).await?;
    let fail = system.api.interfaces_like("failing", FAILING, &failing.url(), &retried_late()).await?;
    let before = flood(&system, &interfaces, &well).run(leads).await?;
    row("no timer is pending", &before.text());

    let (watch, begin) = (Watch::start(system.processes()), Instant::now());
    load::publish(&Target::system(&system.api, &fail), timers, CONNECTIONS, BATCH).await?;
    system.api.has_timers(timers as u64, SETTLED).await?;
    let set_per_second = timers as f64 / begin.elapsed().as_secs_f64();
    system.api.settled(SETTLED).await?;
    let used = watch.end();
    let (idle, now) = used.idle_and_now();
    let text = format!("{set_per_second:>7.0} / s  set; {:+.0} MiB, {:.0} at peak", now - idle, used.peak());
    row("setting the timers", &text);

    let beside = flood(&system, &interfaces, &well).run(leads).await?;
    row(&format!("{timers} are pending"), &beside.text());
    drop(system.stop().await);
    Ok(json!({
        "timers": timers, "set_per_second": set_per_second.round(), "memory_grown_mib": used.grown(),
        "memory_peak_while_set_mib": used.peak(), "before": before.json(), "while_pending": beside.json(),
        "throughput_share": beside.delivered_per_second / before.delivered_per_second,
    }))
}

fn flood<'a>(system: &'a System, interfaces: &'a [String], receiver: &'a Receiver) -> Flood<'a> {
    Flood { api: &system.api, processes: system.processes(), interfaces, receiver, over: Over::Http }
}

/// One retry, a day later. Without a breaker every first attempt is made.
fn retried_late() -> api::Destination {
    let policy =
        api::CustomRetryPolicy { schedule: vec![duration_to_api(RETRY_AFTER)], ..api::CustomRetryPolicy::default() };
    let policy = api::retry_policy::Policy::Custom(policy);
    api::Destination {
        retry_policy: Some(api::RetryPolicy { policy: Some(policy) }),
        breaker_failures: Some(0),
        ..api::Destination::default()
    }
}
