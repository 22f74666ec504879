//! The cost of publishing events whose ids the publisher names, compared with events whose ids ingest makes.
//!
//! No destination wants the events, so only publishing, routing and the read model are measured. The two kinds take
//! turns, because the speed of a machine varies.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{
    load::{self, Target},
    statistics::median,
    system::System,
    table::{head, row},
    usage::{Watch, rounded},
};

/// The number of pairs of turns. The order alternates, because the read model grows.
const PAIRS: usize = 6;
/// Before the measurement, ingest reads the known ids; this takes a little over two seconds.
const LEARNING: Duration = Duration::from_secs(5);
/// How long the read model may take to catch up after a turn.
const PATIENCE: Duration = Duration::from_secs(300);
/// Events per request, connections, and the divisor of `--leads` for one turn.
const SHAPES: [(usize, usize, usize); 2] = [(200, 4, 1), (1, 8, 2)];

pub(crate) async fn measure(program: &Path, leads: usize) -> anyhow::Result<Value> {
    head(&format!("Publishing: {leads} events, with ids of ingest or of the publisher"));
    let mut results = serde_json::Map::new();
    for (batch, connections, part) in SHAPES {
        let name = format!("{batch} in a request");
        let count = leads.div_ceil(part);
        results.insert(name.clone(), shape(program, &name, count, connections, batch).await?);
    }
    Ok(results.into())
}

async fn shape(program: &Path, name: &str, count: usize, connections: usize, batch: usize) -> anyhow::Result<Value> {
    let system = System::start(program, &[]).await?;
    let made = Target::system(&system.api, &system.api.unwanted("p", 1).await?);
    for target in [&made, &made.with_ids("warm-up")] {
        turn(&system, target, count, connections, batch).await?;
    }
    sleep(LEARNING).await;
    let (mut all, mut shares, mut costs) = ([vec![], vec![]], vec![], vec![]);
    for n in 0..PAIRS {
        let targets = [made.clone(), made.with_ids(&format!("order-{n}"))];
        let mut pair = [Turn::default(), Turn::default()];
        for kind in if n % 2 == 0 { [0, 1] } else { [1, 0] } {
            pair[kind] = turn(&system, &targets[kind], count, connections, batch).await?;
        }
        shares.push(pair[1].per_second / pair[0].per_second);
        costs.push(pair[1].cpu_ms / pair[0].cpu_ms);
        all.iter_mut().zip(pair).for_each(|(all, turn)| all.push(turn));
    }
    let mut json = json!({"named_share": rounded(median(shares), 3), "named_cpu_share": rounded(median(costs), 3)});
    for (what, turns) in ["made", "named"].iter().zip(&all) {
        let per_second = median(turns.iter().map(|turn| turn.per_second).collect());
        let cpu_ms = median(turns.iter().map(|turn| turn.cpu_ms).collect());
        row(&format!("{name}, ids {what}"), &format!("{per_second:>7.0} / s  CPU {cpu_ms:.3} ms"));
        json[what] = json!({"published_per_second": per_second.round(), "cpu_ms_each": rounded(cpu_ms, 4)});
    }
    row(
        "",
        &format!(
            "named, relative to made: {} of the throughput, {} of the CPU",
            json["named_share"], json["named_cpu_share"]
        ),
    );
    drop(system.stop().await);
    Ok(json)
}

/// The result of a turn: events per second, and processor time of services and broker per event.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    per_second: f64,
    cpu_ms: f64,
}

async fn turn(
    system: &System,
    target: &Target,
    count: usize,
    connections: usize,
    batch: usize,
) -> anyhow::Result<Turn> {
    let (watch, began) = (Watch::start(system.processes()), Instant::now());
    load::publish(target, count, connections, batch).await?;
    let per_second = count as f64 / began.elapsed().as_secs_f64();
    // The read model lags, and its remaining work belongs to the turn.
    system.api.settled(PATIENCE).await?;
    Ok(Turn { per_second, cpu_ms: watch.end().cpu() / count as f64 })
}
