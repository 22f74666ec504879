//! Settings of the connection to the broker.

use std::{path::PathBuf, time::Duration};

/// How the broker stores what it acknowledges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flush {
    /// Flushes at intervals: an acknowledged fact survives the death of the broker's process, but a power loss only
    /// with replicas
    #[default]
    Interval,
    /// Flushes every write (`sync_interval: always`): appends are then grouped into batches
    EveryWrite,
}

pub(crate) const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

#[derive(Debug, Clone, Default, clap::Args)]
pub struct NatsOptions {
    /// URL of the NATS server, or several separated by commas [default: nats://127.0.0.1:4222; up: its own server]
    #[arg(long, env = "LEADLINE_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: Option<String>,
    /// File with NATS credentials
    #[arg(long, env = "LEADLINE_NATS_CREDS", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// File with the authority (PEM) that signed the certificate of the NATS server; makes TLS mandatory [default: the
    /// authorities of the system, with tls:// URLs]
    #[arg(long, env = "LEADLINE_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// File with the client certificate (PEM), if the NATS server asks for one; makes TLS mandatory
    #[arg(long, env = "LEADLINE_NATS_CERT", value_name = "FILE", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// File with the key (PEM) of the client certificate
    #[arg(long, env = "LEADLINE_NATS_KEY", value_name = "FILE", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
    /// How many servers of the cluster keep each fact, 1 to 5 [default: unchanged; at first 1]
    #[arg(long, env = "LEADLINE_REPLICAS", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: Option<u8>,
    /// How long lead events and the facts of their deliveries are kept for retries, recoveries and rebuilds; longer
    /// than the longest retry policy [default: unchanged; at first 90d]
    #[arg(long, env = "LEADLINE_KEEP_EVENTS", value_name = "DURATION", value_parser = kept)]
    pub keep_events: Option<Duration>,
    /// Maximum bytes of each stream at the broker; a full stream refuses new messages. An account of the broker may
    /// require it (max_bytes_required) [default: unchanged; at first no limit]
    #[arg(long, env = "LEADLINE_STREAM_MAX_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1_000_000..=i64::MAX.cast_unsigned()))]
    pub stream_max_bytes: Option<u64>,
    /// How long the broker remembers message ids, so that a repeated fact is stored once [default: unchanged; at first
    /// 10m]
    #[arg(long, env = "LEADLINE_DEDUP_WINDOW", value_name = "DURATION", value_parser = runtime::duration::parse)]
    pub dedup_window: Option<Duration>,
    /// How the broker flushes what it stores
    #[arg(long, env = "LEADLINE_NATS_FLUSH", default_value = "interval")]
    pub nats_flush: Flush,
}

/// The shortest time that a stream keeps messages. The broker keeps them for ever if the time is 0.
const MIN_KEPT: Duration = Duration::from_secs(1);

fn kept(text: &str) -> Result<Duration, String> {
    let kept = runtime::duration::parse(text)?;
    if kept < MIN_KEPT { Err(format!("{text:?} is less than a second")) } else { Ok(kept) }
}
