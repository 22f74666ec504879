//! Where the broker is, and what may be assumed of it.

use std::{path::PathBuf, time::Duration};

/// How the broker stores what it acknowledges.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Flush {
    /// It flushes now and then: an acknowledged fact survives the broker's death, not a power loss. Replicas do better
    #[default]
    Interval,
    /// It flushes every write (`sync_interval: always`): appends are then grouped into batches
    EveryWrite,
}

/// Where a broker usually is.
pub(crate) const USUAL_URL: &str = "nats://127.0.0.1:4222";

/// Where the broker is, and what may be assumed of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct NatsOptions {
    /// URL of the NATS server, or several separated by commas [default: nats://127.0.0.1:4222; up: a server of its own]
    #[arg(long, env = "LEADLINE_NATS_URL", value_name = "URL", hide_env_values = true)]
    pub nats_url: Option<String>,
    /// File with NATS credentials
    #[arg(long, env = "LEADLINE_NATS_CREDS", value_name = "FILE")]
    pub nats_creds: Option<PathBuf>,
    /// File with the authority (PEM) that the certificate of the NATS server is signed by; TLS is then required [default:
    /// those of the system, with tls:// URLs]
    #[arg(long, env = "LEADLINE_NATS_CA", value_name = "FILE")]
    pub nats_ca: Option<PathBuf>,
    /// File with the certificate (PEM) to show to the NATS server, if it asks for one; TLS is then required
    #[arg(long, env = "LEADLINE_NATS_CERT", value_name = "FILE", requires = "nats_key")]
    pub nats_cert: Option<PathBuf>,
    /// File with the key (PEM) of that certificate
    #[arg(long, env = "LEADLINE_NATS_KEY", value_name = "FILE", requires = "nats_cert")]
    pub nats_key: Option<PathBuf>,
    /// How many servers of the cluster keep each fact, 1 to 5 [default: as it is; at first 1]
    #[arg(long, env = "LEADLINE_REPLICAS", value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: Option<u8>,
    /// How long the broker remembers the ids of facts, to store a repeated one only once [default: as it is; at first 10m]
    #[arg(long, env = "LEADLINE_DEDUP_WINDOW", value_name = "DURATION", value_parser = runtime::duration::parse)]
    pub dedup_window: Option<Duration>,
    /// How the broker flushes what it stores
    #[arg(long, env = "LEADLINE_NATS_FLUSH", default_value = "interval")]
    pub nats_flush: Flush,
}
