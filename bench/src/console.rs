//! How long the lists of the console wait for their answers when the read model holds a million deliveries.
//!
//! The calls of each screen go over HTTP at once, as the page makes them, first to a process that has just started. What a browser
//! adds to that, loading and drawing the page, is not measured.

use std::path::Path;

use anyhow::ensure;
use futures::future::try_join_all;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::ACCOUNT,
    derived,
    filled::{Rows, STEP, now_micros},
    latency::percentiles,
    system::System,
    table::{head, row},
};

/// How often each screen is opened after the first time.
const ROUNDS: u32 = 100;
/// What is promised: half a second.
const MAX_MS: f64 = 500.0;
/// What the frame around every screen asks for.
const OF_FRAME: [&str; 4] = [
    "RegistryService/ListDestinations",
    "RegistryService/ListInterfaces",
    "RegistryService/ListClients",
    "StatusService/GetShownUntil",
];
/// Each screen, and what it asks for.
const SCREENS: [(&str, &[&str]); 5] = [
    (
        "problems",
        &["ProblemService/ListProblems", "ProblemService/ListDestinationHealth", "ProblemService/QueryDeliveryCounts"],
    ),
    ("deliveries", &["DeliveryService/ListDeliveries"]),
    ("failed deliveries", &["DeliveryService/ListDeliveries failed"]),
    ("leads", &["LeadService/ListLeads"]),
    ("destinations", &["ProblemService/ListDestinationHealth", "ProblemService/QueryDeliveryCounts"]),
];

/// Fills a read model in SQLite and opens each screen.
pub(crate) async fn measure(program: &Path, rows: u32) -> anyhow::Result<Value> {
    head(&format!("Console: lists of {rows} deliveries"));
    // The client wants to know how TLS would be done, and calls over plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let system = System::start(program, &[]).await?;
    system.api.interfaces("form", 1, "http://127.0.0.1:9/").await?;
    let destination = system.api.destination().await?;
    system.api.searchable("form0", &derived::FIELDS).await?;
    let filled = Rows { first: 0, count: rows, begin: now_micros() - i64::from(rows) * STEP, response: 60 };
    filled.fill(&system.database, &destination).await?;
    // Problems, health and counts as well.
    derived::fill(&system.database, filled, &system.master_key()?, &[0]).await?;
    let mut results = serde_json::Map::new();
    let mut home = system.stop().await;
    for (name, methods) in SCREENS {
        // Each screen is the first thing that a new process is asked for.
        let system = System::start_in(home, program, &[]).await?;
        let client = Client::builder().no_proxy().build()?;
        let first = opened(&client, &system, methods).await?;
        let mut times = vec![];
        for _ in 0..ROUNDS {
            times.push(opened(&client, &system, methods).await?);
        }
        let (first, ms) = (percentiles(&mut [first])[0], percentiles(&mut times));
        row(name, &format!("first {first:.1} ms, p50 {:.1} ms, p99 {:.1} ms", ms[0], ms[2]));
        ensure!(first < MAX_MS, "the list of {name} took {first:.0} ms to open, which is more than {MAX_MS} ms");
        results.insert(name.into(), json!({"first_ms": first, "p50_ms": ms[0], "p99_ms": ms[2]}));
        home = system.stop().await;
    }
    Ok(results.into())
}

/// How long the answers of a screen take, in microseconds.
async fn opened(client: &Client, system: &System, methods: &[&str]) -> anyhow::Result<u64> {
    let began = Instant::now();
    try_join_all(OF_FRAME.iter().chain(methods).map(|method| answered(client, system, method))).await?;
    Ok(u64::try_from(began.elapsed().as_micros())?)
}

async fn answered(client: &Client, system: &System, call: &str) -> anyhow::Result<()> {
    let (method, which) = call.split_once(' ').unwrap_or((call, ""));
    let message = match (method, which) {
        ("DeliveryService/ListDeliveries", "") => json!({"filter": {"accountId": ACCOUNT}}),
        ("DeliveryService/ListDeliveries", _) => {
            json!({"filter": {"accountId": ACCOUNT, "statuses": ["DELIVERY_STATUS_FAILED"]}})
        }
        ("StatusService/GetShownUntil", _) => json!({}),
        ("ProblemService/QueryDeliveryCounts", _) => json!({"accountId": ACCOUNT, "bucket": "COUNT_BUCKET_HOUR"}),
        _ => json!({"accountId": ACCOUNT}),
    };
    let request = client.post(format!("{}/leadline.v1.{method}", system.api.addresses.http));
    let request = request.bearer_auth(&system.api.key).header("content-type", "application/json");
    let answer = request.body(message.to_string()).send().await?;
    let (status, body) = (answer.status(), answer.bytes().await?);
    ensure!(status.is_success(), "{call}: {status} {}", String::from_utf8_lossy(&body));
    Ok(())
}
