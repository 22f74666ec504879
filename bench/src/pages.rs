//! The time of list pages, searches, and requests about failures when the read model holds a million deliveries, on
//! both databases.
//!
//! The database makes the rows itself, so that filling takes minutes instead of hours. Requests come over gRPC.

use std::path::Path;

use anyhow::ensure;
use api::{DeliveryFilter, DeliveryStatus};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Status;

use crate::{
    harness::{
        api::ACCOUNT,
        ask::Measured,
        databases::on_both,
        derived,
        filled::{Rows, STEP, now_micros},
        statistics::percentiles,
        system::System,
        table::{head, row},
        usage::Watch,
    },
    looking,
};

/// How often each request is repeated.
const ROUNDS: u32 = 200;
/// The limit for the 99th percentile of each request on SQLite, the database of an installation without servers.
const MAX_P99_MS: f64 = 50.0;

/// Fills both databases and measures the requests.
pub(crate) async fn measure(program: &Path, rows: u32) -> anyhow::Result<Value> {
    head(&format!("Pages: lists of {rows} deliveries"));
    on_both(async |database, args| run(program, database, args, rows).await).await
}

async fn run(program: &Path, database: &str, args: &[&str], rows: u32) -> anyhow::Result<Value> {
    let system = System::start(program, args).await?;
    system.api.interfaces("form", 1, "http://127.0.0.1:9/").await?;
    let destination = system.api.destination().await?;
    let began = Instant::now();
    let filled = Rows { first: 0, count: rows, begin: now_micros() - i64::from(rows) * STEP, response: 60 };
    filled.fill(&system.database, &destination).await?;
    system.api.searchable("form0", &derived::FIELDS).await?;
    let lead = move |round: u32| (round * 4_973) % rows;
    let searched: Vec<_> = (0..ROUNDS).map(lead).collect();
    derived::fill(&system.database, filled, &system.master_key()?, &searched).await?;
    let took = began.elapsed().as_secs_f64();
    row(&format!("{database}, filled"), &format!("{rows} deliveries, leads and attempts in {took:.0} s"));

    let mut results = serde_json::Map::new();
    let mut all = requests(&system, &destination, filled);
    all.extend(looking::searches(&system, lead));
    all.extend(looking::failures(&system, &destination));
    let mut slow = vec![];
    for (name, max, ask) in all {
        let mut times = vec![];
        for round in 0..ROUNDS {
            let began = Instant::now();
            let found = ask(round).await?;
            times.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            ensure!((1..=max).contains(&found), "{name}: {found} entries");
        }
        let ms = percentiles(&mut times);
        row(&format!("{database}, {name}"), &format!("p50 {:.2} ms, p99 {:.2} ms", ms[0], ms[2]));
        if database == "sqlite" && ms[2] >= MAX_P99_MS {
            slow.push(format!("{name} ({:.0} ms)", ms[2]));
        }
        results.insert(name.into(), json!({"p50_ms": ms[0], "p99_ms": ms[2]}));
    }
    results.insert("export".into(), export(&system, database, rows).await?);
    // After all of them, so that the table shows every figure.
    let slow = slow.join(", ");
    ensure!(slow.is_empty(), "{database}: the p99 of these requests is not below {MAX_P99_MS} ms: {slow}");
    drop(system.stop().await);
    Ok(results.into())
}

/// Exports all leads as CSV; measures time and additional memory.
async fn export(system: &System, database: &str, rows: u32) -> anyhow::Result<Value> {
    let (watch, began) = (Watch::start(system.processes()), Instant::now());
    let request = api::ExportLeadsRequest { account_id: ACCOUNT.into(), ..api::ExportLeadsRequest::default() };
    let mut pieces = system.api.leads().export_leads(request).await?.into_inner();
    let mut lines = 0_u32;
    while let Some(piece) = pieces.message().await? {
        lines += u32::try_from(piece.csv.iter().filter(|byte| **byte == b'\n').count())?;
    }
    ensure!(lines == rows + 1, "{lines} lines of {rows} leads");
    let took = began.elapsed().as_secs_f64();
    let used = watch.end();
    let more = used.peak() - used.idle_and_now().0;
    row(&format!("{database}, export of all leads"), &format!("{took:.1} s, memory {more:+.0} MiB"));
    Ok(json!({"seconds": took, "memory_mib": more}))
}

fn requests<'a>(system: &'a System, destination: &'a str, filled: Rows) -> Vec<Measured<'a>> {
    let Rows { count: rows, begin, .. } = filled;
    let filter = move |filter: DeliveryFilter| -> BoxFuture<'a, Result<usize, Status>> {
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        Box::pin(
            async move { Ok(system.api.deliveries().list_deliveries(request).await?.into_inner().deliveries.len()) },
        )
    };
    let leads = move |request: api::ListLeadsRequest| -> BoxFuture<'a, Result<usize, Status>> {
        Box::pin(async move { Ok(system.api.leads().list_leads(request).await?.into_inner().leads.len()) })
    };
    let of_account = || DeliveryFilter { account_id: ACCOUNT.into(), ..DeliveryFilter::default() };
    let leads_of = || api::ListLeadsRequest { account_id: ACCOUNT.into(), ..api::ListLeadsRequest::default() };
    let failed = || vec![i32::from(DeliveryStatus::Failed)];
    let at = move |round: u32| Some(time(begin + i64::from((round * 4_973) % rows + rows / 100) * STEP));
    let to = move || DeliveryFilter { destination_id: destination.into(), ..of_account() };
    let events = move |_| -> BoxFuture<'a, Result<usize, Status>> {
        let (account_id, destination_id) = (ACCOUNT.into(), destination.to_owned());
        let request = api::ListDestinationEventsRequest { account_id, destination_id, ..Default::default() };
        Box::pin(async move {
            Ok(system.api.deliveries().list_destination_events(request).await?.into_inner().events.len())
        })
    };
    let lead = move |round: u32| format!("lead-{}", (round * 4_973) % rows);
    vec![
        ("first page", 50, Box::new(move |_| filter(of_account()))),
        ("first page of all accounts", 50, Box::new(move |_| filter(DeliveryFilter::default()))),
        ("deep page", 50, Box::new(move |n| filter(DeliveryFilter { requested_before: at(n), ..of_account() }))),
        ("failed", 50, Box::new(move |_| filter(DeliveryFilter { statuses: failed(), ..of_account() }))),
        (
            "failed, deep",
            50,
            Box::new(move |n| filter(DeliveryFilter { statuses: failed(), requested_before: at(n), ..of_account() })),
        ),
        ("of a destination", 50, Box::new(move |_| filter(to()))),
        ("of a destination, failed", 50, Box::new(move |_| filter(DeliveryFilter { statuses: failed(), ..to() }))),
        ("of a lead", 1, Box::new(move |n| filter(DeliveryFilter { lead_id: lead(n), ..of_account() }))),
        (
            "of a rare type",
            50,
            Box::new(move |_| filter(DeliveryFilter { event_type: "rare.type".into(), ..of_account() })),
        ),
        (
            "of a pattern",
            50,
            Box::new(move |_| filter(DeliveryFilter { event_type: "email.*".into(), ..of_account() })),
        ),
        ("of an HTTP status", 50, Box::new(move |_| filter(DeliveryFilter { http_status_code: 999, ..of_account() }))),
        ("events of a destination", 100, Box::new(events)),
        ("leads", 50, Box::new(move |_| leads(leads_of()))),
        ("leads, failed", 50, Box::new(move |_| leads(api::ListLeadsRequest { failed: Some(true), ..leads_of() }))),
        (
            "leads of a rare interface",
            50,
            Box::new(move |_| leads(api::ListLeadsRequest { interface_id: "rare".into(), ..leads_of() })),
        ),
        (
            "leads with an HTTP status",
            50,
            Box::new(move |_| leads(api::ListLeadsRequest { http_status_code: 404, ..leads_of() })),
        ),
    ]
}

fn time(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos: 0 }
}
