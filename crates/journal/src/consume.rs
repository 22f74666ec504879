//! Reading facts: work queues that processes share, and ordered readers.

pub(crate) mod ack_handle;
pub(crate) mod event_ids;
pub(crate) mod range;
pub(crate) mod reader;
pub(crate) mod resilient_consumer;
pub(crate) mod restart_watermark;
pub(crate) mod spec;
pub(crate) mod work_queue;
pub(crate) mod work_queues;
