//! Requests that are repeated and measured.

use futures::future::BoxFuture;
use tonic::Status;

/// Sends a request for the nth time. Returns the number of entries.
pub(crate) type Ask<'a> = Box<dyn Fn(u32) -> BoxFuture<'a, Result<usize, Status>> + 'a>;

/// A request: its name, the maximum number of entries, and a function that sends it for the nth time.
pub(crate) type Measured<'a> = (&'static str, usize, Ask<'a>);
