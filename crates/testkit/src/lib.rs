//! What the tests run against: real servers, private to a test, that end with it.
//!
//! A broker, a database, a name server, HTTP and mail receivers, proxies, a token server and a trace collector that can be made to misbehave, a child process
//! that cannot outlive the test, and a way to wait for a condition without sleeping. Nothing here is a mock: every
//! server speaks its protocol over a socket. Being for tests only, all of it panics with an explanation instead of
//! returning errors.

pub mod child;
pub mod disk;
pub mod dns;
pub mod forward_proxy;
pub mod nats;
pub mod nginx;
pub mod oauth;
pub mod otlp;
pub mod pgbouncer;
pub mod port;
pub mod postgres;
pub mod process;
pub mod receiver;
pub mod smtp;
pub mod tls;
pub mod wait;
pub mod zoo;

pub use disk::SmallDisk;
pub use dns::NameServer;
pub use forward_proxy::ForwardProxy;
pub use nats::{NatsCluster, NatsServer};
pub use nginx::Nginx;
pub use oauth::TokenServer;
pub use otlp::OtlpSink;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::Postgres;
pub use process::Process;
pub use receiver::{Answer, Receiver};
pub use smtp::{SmtpSink, Step};
