//! The parts that every process of Leadline needs: options, telemetry, readiness, listeners, and an orderly end.
//!
//! A [`Service`] has a name, routes, and background tasks that it spawns on the [`Drain`] of its [`Platform`].
//! [`serve`] gives any number of services one HTTP and one gRPC listener. On SIGTERM or Ctrl-C the drain begins:
//! listeners accept no connections, tasks finish what is in flight, and the process ends within the deadline.

mod chain;
pub mod coalesced_timer;
pub mod crash;
mod drain;
pub mod duration;
pub mod files;
mod platform;
pub mod private;
mod readiness;
mod serving;
pub mod telemetry;
pub mod trace;

pub use chain::{ErrorChain, causes, chain_in_words, chain_of};
pub use drain::{Drain, shutdown_on_signal};
pub use platform::{Addresses, Platform};
pub use readiness::{Changes, Latch, NeededBy, Part, Readiness};
pub use serving::connections::{ConnectionLimits, Origin, calls::Late};
pub use serving::cors;
pub use serving::in_flight::{Begun, KeysInFlight};
pub use serving::listen::{Api, ListenError, Listeners, OverHttp, Service, serve};
pub use serving::request_id::{REQUEST_ID, RequestId};
pub use serving::shares::{Exceeded, Share, Shares};
pub use serving::tls::{TlsError, TlsOptions};
pub use telemetry::metrics;
