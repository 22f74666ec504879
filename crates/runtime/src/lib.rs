//! What every process of Leadline needs before it does anything of its own: options, telemetry, readiness, listeners,
//! and an orderly end.
//!
//! A service is a [`Service`]: a name, its routes, and background tasks that it spawns on the [`Drain`] of its
//! [`Platform`]. [`serve`] gives any number of services one HTTP and one gRPC listener. On SIGTERM or Ctrl-C the drain
//! begins: listeners take nothing new, tasks finish what is in flight, and the process ends within the deadline.

mod chain;
mod connections;
pub mod crash;
mod drain;
pub mod duration;
pub mod files;
mod incoming;
mod listen;
pub mod private;
mod probes;
mod readiness;
mod shares;
pub mod telemetry;
mod tls;
pub mod together;
pub mod trace;
mod under_way;

pub use chain::ErrorChain;
pub use connections::{ConnectionLimits, calls::Late};
pub use drain::{Drain, shutdown_on_signal};
pub use listen::{Addresses, ListenError, Listeners, Service, serve};
pub use readiness::{Changes, Latch, NeededBy, Part, Readiness};
pub use shares::{Exceeded, Share, Shares};
pub use tls::{TlsError, TlsOptions};
pub use under_way::{Begun, UnderWay};

/// What every service is started with.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// When to stop, and who has not stopped yet.
    pub drain: Drain,
    /// Who is ready.
    pub readiness: Readiness,
}
