//! The items of a job, in pages.

use domain::{
    Delivery, DeliveryId, DestinationId, LeadEvent, LeadSequence,
    job::{Cursor, JobDecision, Recovery},
};

#[derive(Debug)]
pub(super) struct ItemPage {
    pub(super) items: Vec<Item>,
    /// Whether this is the last page.
    pub(super) last: bool,
}

/// One delivery or event to decide about, and the cursor after it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) what: What,
    pub(super) cursor: Cursor,
}

#[derive(Debug)]
pub(super) enum What {
    /// A delivery; `None` if it does not exist.
    Delivery(DeliveryId, Option<Box<Delivery>>),
    /// An event that may be missing at the destination.
    Event(Box<Missing>),
    /// An event that the recovery skips without looking up its delivery.
    Decided(Box<JobDecision>),
    /// An event that cannot be read.
    Unreadable,
}

/// An event that may be missing at its destination.
#[derive(Debug)]
pub(super) struct Missing {
    /// The delivery of the event, whether it exists or not.
    pub(super) id: DeliveryId,
    pub(super) event: LeadEvent,
    pub(super) sequence: LeadSequence,
    pub(super) destination: DestinationId,
    pub(super) delivery: Option<Delivery>,
}

impl Missing {
    pub(super) fn new(event: LeadEvent, sequence: LeadSequence, recovery: &Recovery) -> Self {
        let destination = recovery.destination.clone();
        let id = DeliveryId::of(&event.account, &event.event_id, &destination);
        Self { id, event, sequence, destination, delivery: None }
    }
}
