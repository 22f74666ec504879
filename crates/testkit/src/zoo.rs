//! Receivers as they are found in the field, each with a habit of its own: stacks that close connections without a word,
//! speak HTTP of another decade, keep bodies open, or die behind a load balancer that does not tell.

mod http2;
mod programs;
mod proxy;
mod raw;

pub use http2::{Http2Habit, Http2Receiver};
pub use programs::{Program, program};
pub use proxy::Proxy;
pub use raw::{Habit, RawReceiver, black_hole};
