//! Real servers for tests. Each is private to a test and ends with it. The crate has a broker, a database, a name
//! server, HTTP and mail receivers, proxies, a token server, an identity provider, a collector and a Prometheus server.
//! Tests can make most of them misbehave. The crate also has child processes that cannot outlive the test, and waits
//! for conditions without sleeping. Nothing here is a mock: every server speaks its protocol over a socket. Failures
//! panic with an explanation, because only tests use the crate.

pub mod child;
pub mod disk;
pub mod dns;
pub mod fake_clock;
pub mod forward_proxy;
pub mod nats;
pub mod nginx;
pub mod oauth;
pub mod oidc;
pub mod otlp;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod receiver;
pub mod smtp;
pub mod tls;
pub mod wait;
pub mod zoo;

pub use disk::SmallDisk;
pub use dns::NameServer;
pub use fake_clock::FakeClock;
pub use forward_proxy::ForwardProxy;
pub use nats::{NatsServer, cluster::NatsCluster};
pub use nginx::Nginx;
pub use oauth::TokenServer;
pub use oidc::IdentityProvider;
pub use otlp::OtlpSink;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::Postgres;
pub use process::Process;
pub use prometheus::Prometheus;
pub use receiver::{Answer, Receiver};
pub use smtp::{SmtpSink, Step};
