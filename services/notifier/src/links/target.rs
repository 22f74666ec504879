//! The target of the links in a mail.

use domain::{DeliveryId, DestinationId, InterfaceId, LeadId};

/// The destination or lead that a mail is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Destination(DestinationId, Option<DeliveryId>),
    Lead(InterfaceId, Option<LeadId>),
}
