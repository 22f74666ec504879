//! The options that limit the connections and requests of callers.

use std::time::Duration;

use crate::duration;

/// Limits of the connections of callers, and of the time for each part of a request.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "connection_limits")]
#[command(next_help_heading = "Connections")]
pub struct ConnectionLimits {
    /// Maximum number of connections, HTTP and gRPC together, and at most a quarter of the files that may be open
    /// (RLIMIT_NOFILE): the rest is for deliveries, broker and database. A new connection closes the oldest idle one
    #[arg(long, env = "LEADLINE_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "COUNT")]
    pub max_connections: usize,
    /// Maximum number of connections from one IPv4 address or IPv6 /64 network; a load balancer is one address
    /// [default: half of all]
    #[arg(long, env = "LEADLINE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT")]
    pub max_connections_per_address: Option<usize>,
    /// Maximum number of concurrent calls on one gRPC connection; further calls wait at the client
    #[arg(long, env = "LEADLINE_MAX_STREAMS", default_value_t = 200, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_streams: u32,
    /// Maximum number of health watches and reflection streams, which need no API key; one connection may have a tenth
    #[arg(long, env = "LEADLINE_MAX_PROBES", default_value_t = 1_000, value_name = "COUNT")]
    pub max_probes: usize,
    /// How long a TLS handshake may take
    #[arg(long, env = "LEADLINE_HANDSHAKE_TIMEOUT", default_value = "3s", value_name = "DURATION", value_parser = duration::parse)]
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, counted from the connection or its first byte
    #[arg(long, env = "LEADLINE_HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = duration::parse)]
    pub header_timeout: Duration,
    /// How long the body of a request may take, and how long a client may read nothing of its answer
    #[arg(long, env = "LEADLINE_BODY_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    pub body_timeout: Duration,
    /// How long an HTTP connection is kept for the next request; longer than load balancers keep theirs
    #[arg(long, env = "LEADLINE_IDLE_TIMEOUT", default_value = "15m", value_name = "DURATION", value_parser = duration::parse)]
    pub idle_timeout: Duration,
    /// How long a peer may be silent before it is probed (HTTP/2 PING, TCP keep-alive)
    #[arg(long, env = "LEADLINE_KEEPALIVE_INTERVAL", default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    pub keepalive_interval: Duration,
    /// How long the answer to an HTTP/2 PING may take
    #[arg(long, env = "LEADLINE_KEEPALIVE_TIMEOUT", default_value = "20s", value_name = "DURATION", value_parser = duration::parse)]
    pub keepalive_timeout: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        #[derive(clap::Parser)]
        struct Defaults {
            #[command(flatten)]
            limits: ConnectionLimits,
        }
        <Defaults as clap::Parser>::parse_from::<_, &str>([]).limits
    }
}
