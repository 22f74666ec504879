//! The settings of connections.

use std::time::Duration;

use crate::duration;

/// How many connections callers may have open, and how long each part of a request may take.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "connection_limits")]
#[command(next_help_heading = "Connections")]
pub struct ConnectionLimits {
    /// The most connections at once, HTTP and gRPC together, and at most a quarter of the files that may be open
    /// (RLIMIT_NOFILE): the rest is for deliveries, broker and database. A new one closes the oldest idle one
    #[arg(long, env = "LEADLINE_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "COUNT")]
    pub max_connections: usize,
    /// The most of them from one IPv4 address or IPv6 /64 network; a load balancer is one address [default: half of all]
    #[arg(long, env = "LEADLINE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT")]
    pub max_connections_per_address: Option<usize>,
    /// The most calls at once on one connection of gRPC; further ones wait at the client
    #[arg(long, env = "LEADLINE_MAX_STREAMS", default_value_t = 200, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_streams: u32,
    /// The most health watches and reflection streams at once, which need no key; one connection may have a tenth
    #[arg(long, env = "LEADLINE_MAX_PROBES", default_value_t = 1_000, value_name = "COUNT")]
    pub max_probes: usize,
    /// How long a TLS handshake may take
    #[arg(long, env = "LEADLINE_HANDSHAKE_TIMEOUT", default_value = "3s", value_name = "DURATION", value_parser = duration::parse)]
    pub handshake_timeout: Duration,
    /// How long the head of a request may take, from the connection or its first byte on
    #[arg(long, env = "LEADLINE_HEADER_TIMEOUT", default_value = "10s", value_name = "DURATION", value_parser = duration::parse)]
    pub header_timeout: Duration,
    /// How long the body of a request may take, and how long a client may read nothing of its answer
    #[arg(long, env = "LEADLINE_BODY_TIMEOUT", default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    pub body_timeout: Duration,
    /// How long a connection of HTTP is kept for the next request; longer than load balancers keep theirs
    #[arg(long, env = "LEADLINE_IDLE_TIMEOUT", default_value = "15m", value_name = "DURATION", value_parser = duration::parse)]
    pub idle_timeout: Duration,
    /// After which silence the other side of a connection is asked whether it is there (HTTP/2 PING, TCP keep-alive)
    #[arg(long, env = "LEADLINE_KEEPALIVE_INTERVAL", default_value = "30s", value_name = "DURATION", value_parser = duration::parse)]
    pub keepalive_interval: Duration,
    /// How long it may take to answer an HTTP/2 PING
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
