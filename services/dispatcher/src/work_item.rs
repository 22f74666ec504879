//! An attempt to make, with the message that asks for it. The message is acknowledged when the attempt is recorded, or
//! when its work waits elsewhere.

use domain::Work;
use journal::Message;

use crate::history::attempts::Key;

/// The kind of message that asks for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkSource {
    /// An event that few destinations want. Its delivery has no recorded request.
    Event,
    /// The request of a delivery.
    Request,
    /// A retry, a timer, a release, or parked work.
    Other,
}

/// An attempt to make.
#[derive(Debug)]
pub(crate) struct WorkItem {
    pub(crate) work: Work,
    pub(crate) source: WorkSource,
    pub(crate) message: Message<()>,
}

impl WorkItem {
    pub(crate) fn new(message: Message<Work>, source: WorkSource) -> Self {
        let mut work = message.value.clone();
        work.redelivered |= message.may_be_repeat.is_some();
        Self { work, source, message: message.map(drop) }
    }

    pub(crate) fn key(&self) -> Key {
        (self.work.reference.delivery, self.work.round, self.work.attempt)
    }

    /// The message id of the parked work. An event and the recorded request of the same delivery have the same id, so
    /// the work is parked once even if both messages are in work.
    pub(crate) fn name(&self) -> String {
        match self.source {
            WorkSource::Event | WorkSource::Request => self.work.reference.delivery.to_string(),
            WorkSource::Other => self.message.id(),
        }
    }
}
