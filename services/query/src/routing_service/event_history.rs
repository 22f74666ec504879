//! The facts about an event and its delivery, for an explanation.

use domain::{Delivery, DeliveryId, LeadEvent};
use read_model::tables::events::EventOutline;

/// An event and its delivery at a destination, from the read model and LEADS.
pub(super) struct EventHistory {
    pub(super) event: EventOutline,
    /// `None` if LEADS does not have the event any more.
    pub(super) stored: Option<LeadEvent>,
    pub(super) delivery: Option<Delivery>,
    pub(super) anonymised: bool,
    /// The delivery that has to end first at an ordered destination; `None` if there is none.
    pub(super) after: Option<DeliveryId>,
}
