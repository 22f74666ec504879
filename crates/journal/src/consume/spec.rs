//! The settings of a work queue.

use std::time::Duration;

use crate::streams::StreamName;

/// How long a consumer exists.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lifetime {
    /// Until an operator removes it.
    Durable,
    /// Until no process has read from it for this time. Its unacknowledged messages stay in the stream.
    UnusedFor(Duration),
}

/// The settings of a work queue.
#[derive(Debug, Clone)]
pub(crate) struct WorkQueueSpec {
    pub(crate) stream: StreamName,
    pub(crate) name: String,
    pub(crate) filter: String,
    pub(crate) max_ack_pending: i64,
    /// How many messages one pull requests.
    pub(crate) fetch: usize,
    pub(crate) lifetime: Lifetime,
}
