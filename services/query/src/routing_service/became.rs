//! What became of an event.

use domain::{Delivery, DeliveryId, LeadEvent};
use read_model::tables::events::EventOutline;

/// What the read model says about an event and its delivery.
pub(super) struct Became {
    pub(super) event: EventOutline,
    /// `None` if LEADS does not have the event any more.
    pub(super) stored: Option<LeadEvent>,
    pub(super) delivery: Option<Delivery>,
    pub(super) anonymised: bool,
    /// The delivery that has to end first.
    pub(super) after: Option<DeliveryId>,
}
