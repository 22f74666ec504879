//! What a page of a list costs when the read model holds a million deliveries, on both databases.
//!
//! The rows are made by the database itself, so that filling takes minutes and not hours; the questions come over gRPC.

use std::path::Path;

use anyhow::{Context as _, ensure};
use api::{DeliveryFilter, DeliveryStatus};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, any::install_default_drivers};
use testkit::postgres;
use tokio::time::Instant;
use tonic::Status;

use crate::{
    api::ACCOUNT,
    latency::percentiles,
    system::System,
    table::{head, row},
    usage::Watch,
};

/// How often each question is asked.
const ROUNDS: u32 = 200;
/// The time between two deliveries, in microseconds, and when the first was requested.
const STEP: i64 = 1_000_000;
const BEGIN: i64 = 1_700_000_000_000_000;

/// Fills both databases and asks.
pub(crate) async fn measure(program: &Path, rows: u32) -> anyhow::Result<Value> {
    head(&format!("Pages: lists of {rows} deliveries"));
    let mut results = serde_json::Map::new();
    for database in ["sqlite", "postgres"] {
        let url = if database == "postgres" { Some(postgres::database().await) } else { None };
        results.insert(database.into(), run(program, database, url, rows).await?);
    }
    Ok(results.into())
}

async fn run(program: &Path, database: &str, url: Option<String>, rows: u32) -> anyhow::Result<Value> {
    let args = url.iter().flat_map(|url| ["--database-url", url.as_str()]).collect::<Vec<_>>();
    let system = System::start(program, &args).await?;
    system.api.interfaces("form", 1, "http://127.0.0.1:9/").await?;
    let destination = system.api.destination().await?;
    let began = Instant::now();
    fill(&system.database, &destination, rows).await?;
    let took = began.elapsed().as_secs_f64();
    row(&format!("{database}, filled"), &format!("{rows} deliveries, leads and attempts in {took:.0} s"));

    let mut results = serde_json::Map::new();
    for (name, most, ask) in questions(&system, &destination, rows) {
        let mut times = vec![];
        for round in 0..ROUNDS {
            let began = Instant::now();
            let found = ask(round).await?;
            times.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            ensure!((1..=most).contains(&found), "{name}: {found} entries");
        }
        let ms = percentiles(&mut times);
        row(&format!("{database}, {name}"), &format!("p50 {:.2} ms, p99 {:.2} ms", ms[0], ms[2]));
        results.insert(name.into(), json!({"p50_ms": ms[0], "p99_ms": ms[2]}));
    }
    results.insert("export".into(), export(&system, database, rows).await?);
    drop(system.stop().await);
    Ok(results.into())
}

/// All leads as CSV: how long it takes, and how much memory it adds.
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

type Ask<'a> = Box<dyn Fn(u32) -> BoxFuture<'a, Result<usize, Status>> + 'a>;

/// Each question: its name, the most entries of an answer, and how to ask it for the nth time.
fn questions<'a>(system: &'a System, destination: &'a str, rows: u32) -> Vec<(&'static str, usize, Ask<'a>)> {
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
    let at = move |round: u32| Some(time(BEGIN + i64::from((round * 4_973) % rows + rows / 100) * STEP));
    let to = move || DeliveryFilter { destination_id: destination.into(), ..of_account() };
    let events = move |_| -> BoxFuture<'a, Result<usize, Status>> {
        let (account_id, destination_id) = (ACCOUNT.into(), destination.to_owned());
        let request = api::ListDestinationEventsRequest { account_id, destination_id, limit: 0 };
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
        (
            "of a status of HTTP",
            50,
            Box::new(move |_| filter(DeliveryFilter { http_status_code: 999, ..of_account() })),
        ),
        ("events of a destination", 100, Box::new(events)),
        ("leads", 50, Box::new(move |_| leads(leads_of()))),
        ("leads, failed", 50, Box::new(move |_| leads(api::ListLeadsRequest { failed: Some(true), ..leads_of() }))),
        (
            "leads of a rare interface",
            50,
            Box::new(move |_| leads(api::ListLeadsRequest { interface_id: "rare".into(), ..leads_of() })),
        ),
        (
            "leads with a status of HTTP",
            50,
            Box::new(move |_| leads(api::ListLeadsRequest { http_status_code: 404, ..leads_of() })),
        ),
    ]
}

fn time(micros: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos: 0 }
}

/// One lead, one event and one delivery of it for each number; one in a hundred failed, one in a thousand is held or
/// retried. Half of them go to one destination. Ids are as scattered as real ones.
async fn fill(url: &str, destination: &str, rows: u32) -> anyhow::Result<()> {
    install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.context("the database of the system under test")?;
    let sqlite = url.starts_with("sqlite");
    if sqlite {
        run_sql(&mut connection, "PRAGMA cache_size = -1000000").await?;
        run_sql(&mut connection, "PRAGMA synchronous = OFF").await?;
    }
    let id = |kind: &str| match sqlite {
        true => format!("printf('%08x-{kind}-5000-8000-%012x', (i * 2654435761) % 4294967296, i)"),
        false => format!(
            "lpad(to_hex((i * 2654435761) % 4294967296), 8, '0') || '-{kind}-5000-8000-' || lpad(to_hex(i), 12, '0')"
        ),
    };
    let at = format!("{BEGIN} + i * {STEP}");
    let http = "CASE WHEN i % 100 = 7 THEN (CASE i % 300 WHEN 7 THEN 500 WHEN 107 THEN 404 ELSE 999 END) \
        WHEN i % 1000 = 11 THEN 503 ELSE 200 END";
    let status = "CASE WHEN i % 100 = 7 THEN 'failed' WHEN i % 1000 = 11 THEN 'retrying' WHEN i % 1000 = 13 THEN 'held' \
        ELSE 'succeeded' END";
    let succeeded = "CASE WHEN i % 100 = 7 OR i % 1000 IN (11, 13) THEN 0 ELSE 1 END";
    let kind = "CASE WHEN i % 300 = 207 THEN 'timeout' ELSE '' END";
    let event_type = "CASE WHEN i % 100000 = 5 THEN 'rare.type' WHEN i % 3 = 0 THEN 'email.open' \
        WHEN i % 3 = 1 THEN 'email.reply' ELSE 'lead.created' END";
    let to = format!("CASE WHEN i % 2 = 1 THEN '{destination}' ELSE 'dst_' || (i % 97) END");
    let interface = "CASE WHEN i % 50000 = 3 THEN 'rare' ELSE 'form' END";
    let response = "'The beginning of what a receiver answered to delivery ' || i";
    let statements = [
        format!(
            "INSERT INTO leads (account, lead, interface, client, created_at, updated_at, events, deliveries, failed, \
             http_status, last_started_at, last_attempt) SELECT '{ACCOUNT}', 'lead-' || i, {interface}, '', {at}, {at}, \
             1, 1, CASE WHEN i % 100 = 7 THEN 1 ELSE 0 END, {http}, {at}, {} FROM numbers",
            id("000a")
        ),
        format!(
            "INSERT INTO deliveries (delivery, account, interface, client, destination, event_id, event_type, lead, \
             lead_sequence, status, attempts, round, requested_at, next_attempt_at, failure, updated_at, at_succeeded, \
             at_attempts, at_round, at_hold, at_phase, at_time, at_tie, last_id, last_attempt, last_started_at, \
             last_duration, last_method, last_url, last_status, last_response, last_error_kind, last_deactivated) \
             SELECT {}, '{ACCOUNT}', {interface}, '', {to}, 'event-' || i, {event_type}, 'lead-' || i, i, {status}, 1, 0, \
             {at}, 0, CASE WHEN i % 100 = 7 THEN 'exhausted' ELSE '' END, {at}, {succeeded}, 1, 0, 0, 2, {at}, '00', {}, 1, {at}, \
             1000, 'POST', 'https://crm.example/hook', {http}, {response}, {kind}, '' FROM numbers",
            id("000d"),
            id("000a")
        ),
        format!(
            "INSERT INTO attempts (attempt, delivery, number, round, started_at, duration, method, url, status, \
             response, error_kind, destination, deactivated) SELECT {}, {}, 1, 0, {at}, 1000, 'POST', \
             'https://crm.example/hook', {http}, {response}, {kind}, {to}, '' FROM numbers",
            id("000a"),
            id("000d")
        ),
    ];
    let numbers = format!(
        "WITH RECURSIVE numbers (i) AS (SELECT CAST(0 AS BIGINT) UNION ALL SELECT i + 1 FROM numbers WHERE i < {})",
        rows - 1
    );
    for statement in statements {
        run_sql(&mut connection, &format!("{numbers} {statement}")).await?;
    }
    if !sqlite {
        run_sql(&mut connection, "VACUUM ANALYZE").await?;
    }
    connection.close().await?;
    Ok(())
}

async fn run_sql(connection: &mut AnyConnection, sql: &str) -> anyhow::Result<()> {
    // Put together from constants and an id that the server made.
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}
