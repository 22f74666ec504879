//! A system that holds many leads, and its throughput, memory and size on disk.
//!
//! The leads are delivered, so that streams and read model hold what they hold in production.

use std::{fs, path::Path, time::Duration};

use anyhow::ensure;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::harness::{
    flood::{Flood, Flooded, Over},
    load::{self, Target},
    receiver::Receiver,
    system::System,
    table::row,
    usage::rounded,
};

/// Leads are published in waves. Each wave has to arrive before the next, so that no backlog is measured.
const WAVE: usize = 20_000;
const WAVE_DEADLINE: Duration = Duration::from_secs(600);
/// Connections, and events in one request.
const CONNECTIONS: usize = 4;
const BATCH: usize = 200;
/// The divisor for the small system that the large one is compared with: 10,000 of a million leads.
const FEW_DIVISOR: usize = 100;

/// A system with stored leads, each with one delivery.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) system: System,
    pub(crate) interfaces: Vec<String>,
    pub(crate) receiver: Receiver,
    pub(crate) leads: usize,
}

impl Stored {
    /// Measures throughput and memory with few and with many stored leads, and the bytes of each lead on disk.
    pub(crate) async fn growth(&mut self, stored: usize, leads: usize) -> anyhow::Result<Value> {
        let few = self.grown_to(stored.div_ceil(FEW_DIVISOR), leads).await?;
        self.fill_all(stored).await?;
        let bytes = self.bytes_per_lead();
        let many = self.grown_to(stored, leads).await?;
        Ok(json!({"few": few, "many": many, "bytes_per_delivery": bytes}))
    }

    pub(crate) async fn fill_all(&mut self, leads: usize) -> anyhow::Result<()> {
        let (begun, before) = (Instant::now(), self.leads);
        self.fill(leads).await?;
        let per_second = (self.leads - before) as f64 / begun.elapsed().as_secs_f64();
        row("stored and delivered", &format!("{per_second:>7.0} / s"));
        Ok(())
    }

    /// Publishes until `leads` are stored, delivered and in the read model.
    async fn fill(&mut self, leads: usize) -> anyhow::Result<()> {
        let target = Target::system(&self.system.api, &self.interfaces);
        while self.leads < leads {
            let wave = WAVE.min(leads - self.leads);
            self.receiver.take();
            load::publish(&target, wave, CONNECTIONS, BATCH).await?;
            let received = self.receiver.wait_for(wave as u64, WAVE_DEADLINE).await;
            ensure!(received >= wave as u64, "{received} of {wave} leads arrived within {WAVE_DEADLINE:?}");
            self.leads += wave;
        }
        self.system.api.settled(WAVE_DEADLINE).await
    }

    /// Runs a flood once `stored` leads are stored.
    async fn grown_to(&mut self, stored: usize, leads: usize) -> anyhow::Result<Value> {
        self.fill(stored).await?;
        let flooded = self.flood(leads).await?;
        row(&format!("{leads} more after {stored}"), &flooded.text());
        let mut json = flooded.json();
        json["stored"] = stored.into();
        Ok(json)
    }

    async fn flood(&mut self, leads: usize) -> anyhow::Result<Flooded> {
        let flood = Flood {
            api: &self.system.api,
            processes: self.system.processes(),
            interfaces: &self.interfaces,
            receiver: &self.receiver,
            over: Over::Http,
        };
        let flooded = flood.run(leads).await?;
        self.leads += flooded.published;
        self.system.api.settled(WAVE_DEADLINE).await?;
        Ok(flooded)
    }

    /// The bytes of a lead with its delivery on disk: in each stream, the broker, and the read model.
    fn bytes_per_lead(&self) -> Value {
        let per_lead = |bytes: u64| rounded(bytes as f64 / self.leads as f64, 0);
        let (streams, model) = bytes_on_disk(&self.system);
        let broker = streams.iter().map(|(_, bytes)| bytes).sum();
        row("on disk, each", &format!("broker {} B, read model {} B", per_lead(broker), per_lead(model)));
        let streams: Map<_, _> =
            streams.into_iter().map(|(name, bytes)| (name, Value::from(per_lead(bytes)))).collect();
        json!({"broker": per_lead(broker), "streams": streams, "read_model": per_lead(model)})
    }
}

/// The bytes on disk of each stream, and of the read model (SQLite, with its log).
pub(crate) fn bytes_on_disk(system: &System) -> (Vec<(String, u64)>, u64) {
    let streams = fs::read_dir(system.streams()).into_iter().flatten().flatten().map(|stream| stream.path());
    let mut streams: Vec<(String, u64)> = streams.map(|path| (name(&path), size(&path))).collect();
    streams.sort();
    let file = system.database.trim_start_matches("sqlite:").split('?').next().unwrap_or_default();
    (streams, size(Path::new(file)) + size(Path::new(&format!("{file}-wal"))))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The size of a file, or of all files of a folder.
fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return fs::metadata(path).map_or(0, |file| file.len()) };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}
