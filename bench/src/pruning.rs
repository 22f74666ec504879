//! Lists and writes while old history is deleted, and the speed of the deletion, on both databases.
//!
//! The database makes the rows itself. Half of them are older than the history that the restarted system keeps. The
//! same lists and writes are measured before, while the system keeps everything.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::ensure;
use api::publish_leads_result::Result as Outcome;
use futures::{TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::harness::{
    api::{ACCOUNT, Api},
    databases::on_both,
    filled::{self, Rows, STEP, now_micros},
    statistics::percentiles,
    system::System,
    table::{head, row},
    usage::{Watch, rounded},
};

const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// The age of the older half, which the history of the restarted system does not include.
const OLD: i64 = 200 * DAY;
const KEEP_ALL: &str = "400d";
const KEEP_YOUNG: &str = "100d";
/// The time limit for the measurement of pruning.
const MAX_PRUNING: Duration = Duration::from_secs(180);
/// The pause after each list, and the interval of writes.
const READ_PAUSE: Duration = Duration::from_millis(5);
const WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// Events per write.
const EVENTS: usize = 20;
/// How long a written lead may take to appear in the read model.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prunes both databases, each with `rows` deliveries.
pub(crate) async fn measure(program: &Path, rows: u32, idle: Duration) -> anyhow::Result<Value> {
    head(&format!("Pruning: {rows} deliveries in {} rows, half of them older than the history", rows * 5));
    on_both(async |database, args| run(program, database, args, rows, idle).await).await
}

async fn run(program: &Path, database: &str, args: &[&str], rows: u32, idle: Duration) -> anyhow::Result<Value> {
    let args = |keep: &'static str| [args, &["--keep-history", keep]].concat();
    let system = System::start(program, &args(KEEP_ALL)).await?;
    system.api.interfaces("form", 1, "http://127.0.0.1:9/").await?;
    let written = system.api.unwanted("written", 1).await?.remove(0);
    let (destination, half, now) = (system.api.destination().await?, rows / 2, now_micros());
    let old = Rows { first: 0, count: half, begin: now - OLD, response: 700 };
    let young = Rows { first: half, begin: now - i64::from(half) * STEP, ..old };
    ensure!(i64::from(half) * STEP < OLD / 2, "{rows} rows would take more than the history");
    for rows in [old, young] {
        rows.fill(&system.database, &destination).await?;
    }
    let before = filled::size(&system.database).await?;
    let alone = beside(&system.api, &written, sleep(idle)).await?;
    shown(database, "nothing deleted", &alone);

    let home = system.stop().await;
    let system = System::start_in(home, program, &args(KEEP_YOUNG)).await?;
    let (count, watch, began) =
        (filled::count(&system.database).await?, Watch::start(system.processes()), Instant::now());
    let pruned = tokio::time::timeout(MAX_PRUNING, system.says("pruned history"));
    let pruning = beside(&system.api, &written, async { drop(pruned.await) }).await?;
    let took = began.elapsed().as_secs_f64();
    let deleted = count - filled::count(&system.database).await? + i64::try_from(pruning.events)?;
    let used = watch.end();
    let after = filled::size(&system.database).await?;
    let (per_second, share) = (deleted as f64 / took, used.cpu() / took / 1_000.0);
    shown(database, "beside pruning", &pruning);
    let mib = |bytes: i64| bytes >> 20;
    row(
        &format!("{database}, pruning"),
        &format!(
            "{per_second:.0} rows / s ({deleted} in {took:.0} s), {share:.2} cores; {} MiB before, {} after, {} of them free",
            mib(before.0),
            mib(after.0),
            mib(after.1)
        ),
    );
    drop(system.stop().await);
    Ok(json!({
        "alone": alone.json(), "beside_pruning": pruning.json(), "deleted_rows": deleted, "seconds": rounded(took, 1),
        "rows_per_second": per_second.round(), "cores": rounded(share, 2), "mib_before": mib(before.0),
        "mib_after": mib(after.0), "mib_free_after": mib(after.1),
    }))
}

/// Measured beside the pruning: the time of lists, and the time until a write appears.
struct Measured {
    lists: [f64; 3],
    writes: [f64; 3],
    /// The number of written events.
    events: usize,
}

impl Measured {
    fn json(&self) -> Value {
        let ms = |ms: [f64; 3]| json!({"p50_ms": ms[0], "p95_ms": ms[1], "p99_ms": ms[2]});
        json!({"lists": ms(self.lists), "writes": ms(self.writes)})
    }
}

fn shown(database: &str, what: &str, measured: &Measured) {
    let ms = |ms: [f64; 3]| format!("p50 {:.1}, p99 {:.1} ms", ms[0], ms[2]);
    let text = format!("list {}; write until visible {}", ms(measured.lists), ms(measured.writes));
    row(&format!("{database}, {what}"), &text);
}

/// Lists and writes until `done` completes.
async fn beside(api: &Api, interface: &str, done: impl Future<Output = ()>) -> anyhow::Result<Measured> {
    let is_done = AtomicBool::new(false);
    let until = async {
        done.await;
        is_done.store(true, Ordering::Relaxed);
    };
    let ((), lists, writes) = tokio::join!(until, read(api, &is_done), write(api, interface, &is_done));
    let (mut lists, mut writes) = (lists?, writes?);
    Ok(Measured { lists: percentiles(&mut lists), events: writes.len() * EVENTS, writes: percentiles(&mut writes) })
}

/// Lists the newest deliveries of the account repeatedly.
async fn read(api: &Api, is_done: &AtomicBool) -> anyhow::Result<Vec<u64>> {
    let filter = api::DeliveryFilter { account_id: ACCOUNT.into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    let mut took = vec![];
    while !is_done.load(Ordering::Relaxed) {
        let began = Instant::now();
        let found = api.deliveries().list_deliveries(request.clone()).await?.into_inner().deliveries.len();
        took.push(micros(began));
        ensure!(found == 50, "{found} deliveries");
        sleep(READ_PAUSE).await;
    }
    Ok(took)
}

/// Publishes events about new leads at a fixed interval. Returns the time until each write appeared.
async fn write(api: &Api, interface: &str, is_done: &AtomicBool) -> anyhow::Result<Vec<u64>> {
    let (mut ingest, mut leads) = (api.ingest().await?, api.leads());
    let run = now_micros();
    let (mut took, mut due) = (vec![], Instant::now());
    while !is_done.load(Ordering::Relaxed) {
        let lead = |nth: usize| format!("new-{run}-{}-{nth}", took.len());
        let events: Vec<_> = (0..EVENTS)
            .map(|nth| api::PublishLeadRequest {
                account: ACCOUNT.into(),
                interface: interface.into(),
                lead_id: lead(nth),
                payload: "{}".into(),
                ..api::PublishLeadRequest::default()
            })
            .collect();
        let answers = ingest.publish_leads(stream::iter(events)).await?.into_inner();
        for answer in answers.try_collect::<Vec<_>>().await? {
            ensure!(matches!(answer.result, Some(Outcome::Published(_))), "a publish was answered with {answer:?}");
        }
        let began = Instant::now();
        let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: lead(EVENTS - 1) };
        while let Err(status) = leads.get_lead(request.clone()).await {
            ensure!(status.code() == tonic::Code::NotFound && began.elapsed() < PATIENCE, "{status}");
            sleep(Duration::from_millis(1)).await;
        }
        took.push(micros(began));
        due += WRITE_INTERVAL;
        tokio::time::sleep_until(due).await;
    }
    Ok(took)
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}
