//! A flood: leads are published as fast as possible until the last of them has arrived. Most other measurements use it.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{
    api::Api,
    load::{self, Target},
    receiver::{Answers, Receiver},
    usage::{Processes, Used, Watch},
};

/// How long a flood may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Connections, and events in one request, of the load generator.
pub(crate) const CONNECTIONS: usize = 8;
const BATCH: usize = 50;
/// One part in this many is sent as a warm-up, before the measurement.
const WARM_UP: usize = 10;

/// The interface that leads are published over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// `POST /v1/leads` with [`BATCH`] events in each request.
    Http,
    /// `IngestService/PublishLeads`.
    Grpc,
}

/// The flooded system with its processes, and the receiver of its interfaces.
#[derive(Debug)]
pub(crate) struct Flood<'a> {
    pub(crate) api: &'a Api,
    pub(crate) processes: Processes,
    pub(crate) interfaces: &'a [String],
    pub(crate) receiver: &'a Receiver,
    pub(crate) over: Over,
}

/// The result of a flood.
#[derive(Debug)]
pub(crate) struct Flooded {
    leads: usize,
    /// The number of all published leads, including the warm-up.
    pub(crate) published: usize,
    pub(crate) delivered_per_second: f64,
    published_per_second: f64,
    pub(crate) used: Used,
}

/// Floods destinations of a new receiver that answers with 200.
pub(crate) async fn flood(
    api: &Api,
    processes: Processes,
    destinations: usize,
    over: Over,
    leads: usize,
) -> anyhow::Result<Flooded> {
    let receiver = Receiver::start(Answers::Well).await?;
    let interfaces = api.interfaces("i", destinations, &receiver.url()).await?;
    Flood { api, processes, interfaces: &interfaces, receiver: &receiver, over }.run(leads).await
}

impl Flood<'_> {
    pub(crate) async fn run(&self, leads: usize) -> anyhow::Result<Flooded> {
        self.receiver.take();
        let mut watch = Watch::start(self.processes.clone());
        let warm = (leads / WARM_UP).max(self.interfaces.len());
        self.publish(warm).await?;
        self.receive(warm).await?;
        self.api.settled(PATIENCE).await?;

        watch.count_from_here();
        let begin = Instant::now();
        self.publish(leads).await?;
        let published = begin.elapsed().as_secs_f64();
        self.receive(leads).await?;
        let took = begin.elapsed().as_secs_f64();
        // Work that remains after the last arrival counts, too.
        self.api.settled(PATIENCE).await?;
        let per_second = |seconds: f64| leads as f64 / seconds;
        Ok(Flooded {
            leads,
            published: warm + leads,
            delivered_per_second: per_second(took),
            published_per_second: per_second(published),
            used: watch.end(),
        })
    }

    async fn publish(&self, leads: usize) -> anyhow::Result<()> {
        match self.over {
            Over::Http => {
                let target = Target::system(self.api, self.interfaces);
                load::publish(&target, leads, CONNECTIONS, BATCH).await
            }
            Over::Grpc => load::publish_streams(self.api, self.interfaces, leads, CONNECTIONS).await,
        }
    }

    async fn receive(&self, leads: usize) -> anyhow::Result<()> {
        let received = self.receiver.wait_for(leads as u64, PATIENCE).await;
        self.receiver.take();
        ensure!(received >= leads as u64, "{received} of {leads} leads arrived within {PATIENCE:?}");
        Ok(())
    }
}

impl Over {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Grpc => "gRPC",
        }
    }
}

impl Flooded {
    pub(crate) fn json(&self) -> Value {
        let mut json = json!({
            "delivered_per_second": self.delivered_per_second.round(),
            "published_per_second": self.published_per_second.round(),
        });
        if let (Value::Object(json), Value::Object(used)) = (&mut json, self.used.json(self.leads)) {
            json.extend(used);
        }
        json
    }

    pub(crate) fn text(&self) -> String {
        format!("{:>7.0} / s  {}", self.delivered_per_second, self.used.text(self.leads))
    }
}
