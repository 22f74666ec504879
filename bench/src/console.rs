//! How long the lists of the console take to open when the read model holds a million deliveries, on both databases.
//!
//! The calls of each screen go over HTTP at once, as the page makes them, first to a process that has just started.
//! Then Chromium opens each list, up to its first visible row.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    api::ACCOUNT,
    databases::on_both,
    derived,
    filled::{Rows, STEP, now_micros},
    statistics::percentiles,
    system::System,
    table::{head, row},
};

/// How often each screen is opened after the first time.
const ROUNDS: u32 = 100;
/// How often Chromium opens each list after the first time.
const BROWSER_ROUNDS: u32 = 20;
/// The limit for a list to open: half a second.
const MAX_MS: f64 = 500.0;
/// The methods that the frame around every screen calls.
const OF_FRAME: [&str; 4] = [
    "RegistryService/ListDestinations",
    "RegistryService/ListInterfaces",
    "RegistryService/ListClients",
    "StatusService/GetShownUntil",
];
/// Each screen, and the methods that it calls.
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
/// The path of each list in the console.
const PATHS: [(&str, &str); 5] = [
    ("problems", ""),
    ("deliveries", "deliveries"),
    ("failed deliveries", "deliveries?status=failed"),
    ("leads", "leads"),
    ("destinations", "destinations"),
];

/// Fills both databases and opens each screen.
pub(crate) async fn measure(program: &Path, rows: u32) -> anyhow::Result<Value> {
    head(&format!("Console: lists of {rows} deliveries"));
    // The client needs a TLS provider, although it calls over plain HTTP.
    let _ = rustls::crypto::ring::default_provider().install_default();
    on_both(async |database, args| run(program, database, args, rows).await).await
}

async fn run(program: &Path, database: &str, args: &[&str], rows: u32) -> anyhow::Result<Value> {
    let system = System::start(program, args).await?;
    system.api.interfaces("form", 1, "http://127.0.0.1:9/").await?;
    let destination = system.api.destination().await?;
    system.api.searchable("form0", &derived::FIELDS).await?;
    let filled = Rows { first: 0, count: rows, begin: now_micros() - i64::from(rows) * STEP, response: 60 };
    filled.fill(&system.database, &destination).await?;
    // The lists also need problems, health and counts.
    derived::fill(&system.database, filled, &system.master_key()?, &[0]).await?;
    let mut results = serde_json::Map::new();
    let mut home = system.stop().await;
    for (name, methods) in SCREENS {
        // Each screen is the first one that a new process answers.
        let system = System::start_in(home, program, args).await?;
        let client = Client::builder().no_proxy().build()?;
        let first = opened(&client, &system, methods).await?;
        let mut times = vec![];
        for _ in 0..ROUNDS {
            times.push(opened(&client, &system, methods).await?);
        }
        let (first, ms) = (percentiles(&mut [first])[0], percentiles(&mut times));
        row(&format!("{database}, {name}"), &format!("first {first:.1} ms, p50 {:.1} ms, p99 {:.1} ms", ms[0], ms[2]));
        ensure!(first < MAX_MS, "the list of {name} took {first:.0} ms to open, which is more than {MAX_MS} ms");
        results.insert(name.into(), json!({"first_ms": first, "p50_ms": ms[0], "p99_ms": ms[2]}));
        home = system.stop().await;
    }
    let system = System::start_in(home, program, args).await?;
    for (name, times) in browse(&system).await? {
        let (first, max) = (times[0], times.iter().copied().fold(0.0, f64::max));
        let mut sorted = times.clone();
        sorted.sort_by(f64::total_cmp);
        let p50 = sorted[sorted.len() / 2];
        row(
            &format!("{database}, {name} in Chromium"),
            &format!("first {first:.0} ms, p50 {p50:.0} ms, max {max:.0} ms"),
        );
        ensure!(p50 < MAX_MS, "Chromium took {p50:.0} ms to open the list of {name}, which is more than {MAX_MS} ms");
        results.insert(
            format!("{name}, browser"),
            json!({"first_ms": first.round(), "p50_ms": p50.round(), "max_ms": max.round()}),
        );
    }
    drop(system.stop().await);
    Ok(results.into())
}

/// How long Chromium takes to open each list, in milliseconds.
async fn browse(system: &System) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace around the benchmark")?;
    let brought = Command::new(root.join("tools/bring-browser")).stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(brought.stdout)?;
    let named = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("tools/bring-browser named no {name}"))
    };
    let mut node = tokio::process::Command::new(Path::new(&named("node")?).join("node"));
    node.args(["bench/open.mjs", &system.api.addresses.http, &BROWSER_ROUNDS.to_string()])
        .current_dir(root.join("console"));
    let account = |path: &str| format!("{path}{}account={ACCOUNT}", if path.contains('?') { '&' } else { '?' });
    node.args(PATHS.map(|(name, path)| format!("{name}={}", account(path))));
    node.env("LEADLINE_API_KEY", &system.api.key).env("LEADLINE_CHROMIUM", named("chromium")?);
    let ran = node.stderr(Stdio::inherit()).output().await?;
    ensure!(ran.status.success(), "console/bench/open.mjs failed");
    Ok(serde_json::from_slice(&ran.stdout)?)
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
