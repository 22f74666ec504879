//! An attempt to make, with the message that asks for it. The message is acknowledged when the attempt is recorded, or
//! when its work waits elsewhere.

use domain::Work;
use journal::Message;

use crate::history::attempts::Key;

/// What asks for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AskedBy {
    /// An event that few destinations want: nothing is recorded of its delivery.
    Event,
    /// The request of a delivery.
    Request,
    /// A person, a timer, a turn, or what was parked.
    Other,
}

/// An attempt that is to be made.
#[derive(Debug)]
pub(crate) struct WorkItem {
    pub(crate) work: Work,
    pub(crate) asked_by: AskedBy,
    pub(crate) message: Message<()>,
}

impl WorkItem {
    pub(crate) fn new(message: Message<Work>, asked_by: AskedBy) -> Self {
        let mut work = message.value.clone();
        work.redelivered |= message.may_be_repeat.is_some();
        Self { work, asked_by, message: message.map(drop) }
    }

    /// The attempt that it asks for.
    pub(crate) fn key(&self) -> Key {
        (self.work.reference.delivery, self.work.round, self.work.attempt)
    }

    /// A name under which it is parked once, even if an event that was not acknowledged is followed by its request.
    pub(crate) fn name(&self) -> String {
        match self.asked_by {
            AskedBy::Event | AskedBy::Request => self.work.reference.delivery.to_string(),
            AskedBy::Other => self.message.id(),
        }
    }
}
