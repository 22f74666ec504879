//! What a notice is about, and which facts call for one.

use jiff::Timestamp;

use super::{
    kind::NoticeKind,
    window::{LeadWindow, Window},
};
use crate::{
    delivery::{DeliveryFact, DeliveryRef, FailureReason, NextStep},
    ids::{AccountId, DestinationId, EventType, InterfaceId, LeadId, NoticeId},
    lead::LeadEvent,
    registry::Interface,
};

/// A notice is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeCalledFor {
    /// Computed from the subject of the notice.
    pub notice: NoticeId,
    pub account: AccountId,
    /// When the broker stored the cause of the notice. No mail about the notice can be older.
    pub since: Timestamp,
    /// Whether a crashed process may have stored the notice before.
    pub again: bool,
    pub about: About,
}

/// The subject of a notice. Sequences are those of DELIVERIES unless stated otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The failure at `sequence`.
    Failure { destination: DestinationId, sequence: u64 },
    /// Failures within a window after a notice.
    FurtherFailures { destination: DestinationId, window: Window },
    /// A destination fails repeatedly.
    RepeatedFailures {
        destination: DestinationId,
        /// The number of failed deliveries in a row.
        failures: u32,
        /// When the first of them failed.
        failing_since: Timestamp,
        /// The sequence of the last of them.
        sequence: u64,
    },
    /// A destination works again.
    Recovery {
        destination: DestinationId,
        /// When the first delivery succeeded.
        at: Timestamp,
        /// When the first failure before the recovery happened; `None` if it is not known.
        failing_since: Option<Timestamp>,
        /// Whether a notice about repeated failures was sent.
        was_alerted: bool,
        /// Whether a rule had deactivated the destination.
        was_deactivated: bool,
    },
    /// A new lead.
    Lead {
        interface: InterfaceId,
        lead: LeadId,
        /// The sequence of its event in LEADS.
        sequence: u64,
    },
    /// Leads within a window after a notice.
    FurtherLeads { interface: InterfaceId, window: LeadWindow },
}

impl About {
    pub const fn kind(&self) -> NoticeKind {
        match self {
            Self::Failure { .. } | Self::FurtherFailures { .. } => NoticeKind::Error,
            Self::RepeatedFailures { .. } => NoticeKind::RepeatedFailures,
            Self::Recovery { .. } => NoticeKind::Recovery,
            Self::Lead { .. } | Self::FurtherLeads { .. } => NoticeKind::Lead,
        }
    }

    /// Whether the notice is about several events, each with its own trace.
    pub const fn collects(&self) -> bool {
        match self {
            Self::FurtherFailures { .. } | Self::RepeatedFailures { .. } | Self::FurtherLeads { .. } => true,
            Self::Failure { .. } | Self::Recovery { .. } | Self::Lead { .. } => false,
        }
    }

    /// `None` if the notice is not about a destination.
    pub const fn destination(&self) -> Option<&DestinationId> {
        match self {
            Self::Failure { destination, .. }
            | Self::FurtherFailures { destination, .. }
            | Self::RepeatedFailures { destination, .. }
            | Self::Recovery { destination, .. } => Some(destination),
            Self::Lead { .. } | Self::FurtherLeads { .. } => None,
        }
    }
}

/// The notice that a lead event at `sequence` in LEADS calls for: one for each new lead of an interface with addresses
/// for new leads. `None` if the event calls for no notice.
pub fn called_for_by_lead(
    event: &LeadEvent,
    sequence: u64,
    published_at: Timestamp,
    interface: &Interface,
) -> Option<NoticeCalledFor> {
    if interface.lead_notification_emails.is_empty() || event.event_type.as_str() != EventType::LEAD_CREATED {
        return None;
    }
    Some(NoticeCalledFor {
        notice: NoticeId::of_lead(&event.account, &event.event_id),
        account: event.account.clone(),
        since: published_at,
        again: false,
        about: About::Lead { interface: event.interface.clone(), lead: event.lead.clone(), sequence },
    })
}

/// The id of the notice about a failed round, and its delivery; `None` if the fact calls for no notice.
pub fn failure_in(fact: &DeliveryFact) -> Option<(NoticeId, &DeliveryRef)> {
    // The caller of a test delivery sees its result.
    if fact.reference().event_type.is_test() {
        return None;
    }
    let round = match fact {
        DeliveryFact::Attempted(f) if matches!(f.next_step, NextStep::Failed(_)) => f.round,
        // The other reasons to abandon a delivery are decisions of people, who know about them already.
        DeliveryFact::Abandoned(f) if matches!(f.reason, FailureReason::PayloadGone | FailureReason::Crashed) => {
            f.round
        }
        _ => return None,
    };
    let reference = fact.reference();
    Some((NoticeId::of_failure(reference.delivery, round), reference))
}
