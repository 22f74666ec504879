//! The parts that every process of Leadline needs: options, telemetry, readiness, listeners, and an orderly end.
//!
//! A [`Service`] has a name, routes, and background tasks that it spawns on the [`Drain`] of its [`Platform`].
//! [`serve`] gives any number of services one HTTP and one gRPC listener. On SIGTERM or Ctrl-C the drain begins:
//! listeners accept no connections, tasks finish what is in flight, and the process ends within the deadline.

mod chain;
pub mod coalesced_timer;
mod connections;
pub mod cors;
pub mod crash;
mod drain;
pub mod duration;
mod exposition;
pub mod files;
mod in_flight;
mod incoming;
mod listen;
mod platform;
pub mod private;
mod probes;
mod readiness;
mod request_id;
mod shares;
pub mod telemetry;
mod tls;
pub mod trace;

pub use chain::{ErrorChain, causes, chain_in_words, chain_of};
pub use connections::{ConnectionLimits, Origin, calls::Late};
pub use drain::{Drain, shutdown_on_signal};
pub use in_flight::{Begun, KeysInFlight};
pub use listen::{Api, ListenError, Listeners, OverHttp, Service, serve};
pub use platform::{Addresses, Platform};
pub use readiness::{Changes, Latch, NeededBy, Part, Readiness};
pub use request_id::{REQUEST_ID, RequestId};
pub use shares::{Exceeded, Share, Shares};
pub use telemetry::metrics;
pub use tls::{TlsError, TlsOptions};
