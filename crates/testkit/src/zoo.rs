//! Receivers as they occur in practice, each with a peculiarity: servers that close connections without notice, speak
//! old HTTP, keep bodies open, or die behind a load balancer that does not report it.

mod http2;
mod programs;
mod proxy;
mod raw;

pub use http2::{Http2Habit, Http2Receiver};
pub use programs::{Program, program};
pub use proxy::Proxy;
pub use raw::{Habit, RawReceiver, black_hole};
