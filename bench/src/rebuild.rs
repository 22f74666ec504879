//! Facts per second that `leadline rebuild` writes into an empty read model, on both databases.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testkit::{Process, postgres};
use tokio::time::Instant;

use crate::harness::{
    dataset::Stored,
    table::{head, row},
    usage::{Watch, rounded},
};

/// How long a rebuild may take.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Facts per lead: its event and its attempt.
const FACTS_EACH: u64 = 2;

/// Rebuilds into new databases beside the idle system.
pub(crate) async fn measure(program: &Path, stored: &Stored) -> anyhow::Result<Value> {
    head(&format!("Rebuild: the read model of {} leads with their deliveries", stored.leads));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rebuilt.db");
    let sqlite = format!("sqlite:{}?mode=rwc", file.display());
    // A separate cluster, whose files are deleted before the next measurement.
    let cluster = postgres::Postgres::start().await;
    let postgres = cluster.database().await;
    let mut results = serde_json::Map::new();
    for (name, url) in [("sqlite", sqlite), ("postgres", postgres)] {
        results.insert(name.into(), run(program, name, &url, stored).await?);
    }
    Ok(results.into())
}

async fn run(program: &Path, name: &str, url: &str, stored: &Stored) -> anyhow::Result<Value> {
    // In the environment, because the URLs contain passwords.
    let env = [("LEADLINE_NATS_URL", stored.system.nats.as_str()), ("LEADLINE_DATABASE_URL", url)];
    let begin = Instant::now();
    let process = Process::start("leadline rebuild", program, ["rebuild"], env);
    let mut processes = vec![("rebuild".to_owned(), process.id())];
    processes.extend(stored.system.processes().into_iter().filter(|(name, _)| name == "broker"));
    let watch = Watch::start(processes);
    let line = process.wait_line("rebuilt the read model from", PATIENCE).await;
    let took = begin.elapsed().as_secs_f64();
    let used = watch.end();
    let facts = line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let facts = facts.with_context(|| format!("{line:?} does not contain the number of facts"))?;
    ensure!(facts >= FACTS_EACH * stored.leads as u64, "{facts} facts are too few for {} leads", stored.leads);
    process.wait_exit(PATIENCE).await;
    let per_second = facts as f64 / took;
    row(name, &format!("{per_second:>7.0} facts / s ({facts} in {took:.1} s)  {}", used.text(facts as usize)));
    let mut json = json!({"facts": facts, "seconds": rounded(took, 2), "facts_per_second": per_second.round()});
    if let (Value::Object(json), Value::Object(mut used)) = (&mut json, used.json(facts as usize)) {
        used.remove("within_bar");
        json.extend(used);
    }
    Ok(json)
}
