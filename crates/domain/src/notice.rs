//! Notices, and the facts that they were sent.
//!
//! [`destination_health`] decides which notices a fact about a delivery calls for, and [`interface_state`] decides
//! which notices new leads call for. One fact stores that a notice was called for ([`NoticeCalledFor`]), and another
//! that it was sent. Neither holds data of a lead: the notifier looks it up when it writes the mail.

mod destination_health;
mod ids;
mod interface_state;

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryFact, DeliveryRef, FailureReason, NextStep},
    ids::{AccountId, DeliveryId, DestinationId, EventType, InterfaceId, LeadId, NoticeId},
    lead::LeadEvent,
    problem::Cause,
    registry::Interface,
};

pub use destination_health::{
    DestinationHealth, DestinationState, ErrorCount, Observed, Operation, Reaction, Rules, Window,
};
pub use interface_state::{InterfaceState, LeadExample, LeadWindow, ObservedLead};

/// A fact about a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeFact {
    /// An email about a failed delivery was handed to the mail server.
    ErrorNoticeSent(ErrorNoticeSent),
    /// An email about a deactivated destination was handed to the mail server.
    DeactivationNoticeSent(DeactivationNoticeSent),
    /// A notice is due.
    CalledFor(NoticeCalledFor),
    /// An email about another subject was handed to the mail server.
    Sent(NoticeSent),
    /// The mail server took the email for one of several recipients.
    Reached(NoticeReached),
    /// Some recipients get no email.
    GivenUp(NoticeGivenUp),
    /// A person has acknowledged a problem.
    Acknowledged(ProblemAcknowledged),
}

/// The kind of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeKind {
    /// Failed deliveries.
    Error,
    /// A destination that a rule switched off.
    Deactivation,
    /// A destination that fails again and again.
    RepeatedFailures,
    /// A destination that works again.
    Recovery,
    /// A new lead.
    Lead,
    /// The request to the owner of an address to confirm it.
    Confirmation,
}

impl NoticeKind {
    #[rustfmt::skip]
    pub const ALL: [Self; 6] = [
        Self::Error, Self::Deactivation, Self::RepeatedFailures, Self::Recovery, Self::Lead, Self::Confirmation,
    ];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Deactivation => "deactivation",
            Self::RepeatedFailures => "repeated_failures",
            Self::Recovery => "recovery",
            Self::Lead => "lead",
            Self::Confirmation => "confirmation",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether its mails precede those of other kinds, because it says that leads do not arrive, or that they arrive
    /// again.
    pub const fn has_precedence(self) -> bool {
        match self {
            Self::Error | Self::Deactivation | Self::RepeatedFailures | Self::Recovery => true,
            Self::Lead | Self::Confirmation => false,
        }
    }
}

/// What is known about the recipients of a notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeProgress {
    /// Whether no recipient is left.
    pub done: bool,
    /// The recipients that have got a mail so far.
    pub reached: Vec<String>,
}

impl NoticeProgress {
    /// Adds a fact about the notice.
    pub fn learn(&mut self, notice: NoticeId, fact: &NoticeFact) {
        match fact {
            _ if fact.notice() != notice => {}
            NoticeFact::ErrorNoticeSent(_) | NoticeFact::DeactivationNoticeSent(_) | NoticeFact::Sent(_) => {
                self.done = true;
            }
            NoticeFact::Reached(reached) => self.reached.push(reached.recipient.clone()),
            NoticeFact::CalledFor(_) | NoticeFact::GivenUp(_) | NoticeFact::Acknowledged(_) => {}
        }
    }
}

/// A notice is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeCalledFor {
    /// Computed from the subject of the notice.
    pub notice: NoticeId,
    pub account: AccountId,
    /// When its cause began, by the clock of the broker. No mail about it can be older.
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
    /// A destination fails again and again.
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

    /// Whether it is about several things that happened, each in a trace of its own.
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

/// An email was handed to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeSent {
    pub notice: NoticeId,
    pub account: AccountId,
    pub kind: NoticeKind,
    /// `None` if the notice was not about a destination.
    pub destination: Option<DestinationId>,
    /// `None` if the notice was not about a lead.
    pub lead: Option<LeadId>,
    pub recipients: Vec<String>,
    pub subject: String,
    pub at: Timestamp,
}

/// The mail server took the email for one of several recipients. A retry for the others does not send it to this one
/// again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeReached {
    pub notice: NoticeId,
    pub account: AccountId,
    pub recipient: String,
    pub at: Timestamp,
}

/// The mail server refused an email permanently, or did not take it for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeGivenUp {
    pub notice: NoticeId,
    pub account: AccountId,
    pub kind: NoticeKind,
    /// `None` if the notice was not about a destination.
    pub destination: Option<DestinationId>,
    /// `None` if the notice was not about a lead.
    pub lead: Option<LeadId>,
    /// `None` if the notice was not about a failed delivery.
    pub delivery: Option<DeliveryId>,
    /// The recipients that got no email.
    pub recipients: Vec<String>,
    /// The answer of the mail server for the first of them.
    pub reason: String,
    pub at: Timestamp,
}

/// A person has acknowledged a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemAcknowledged {
    pub account: AccountId,
    pub destination: DestinationId,
    pub cause: Cause,
    pub by: String,
    pub at: Timestamp,
}

/// An email about a deactivated destination was handed to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivationNoticeSent {
    /// Computed from the deactivation.
    pub notice: NoticeId,
    pub account: AccountId,
    pub destination: DestinationId,
    pub recipients: Vec<String>,
    pub subject: String,
    pub at: Timestamp,
}

/// An email about a failed delivery was handed to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorNoticeSent {
    /// Computed from the failure.
    pub notice: NoticeId,
    pub account: AccountId,
    pub interface: InterfaceId,
    pub lead: LeadId,
    pub delivery: DeliveryId,
    pub destination: DestinationId,
    pub recipients: Vec<String>,
    pub subject: String,
    pub at: Timestamp,
}

impl NoticeFact {
    /// The message id, by which the broker stores a repeated append once.
    pub fn message_id(&self) -> String {
        match self {
            Self::CalledFor(called) => format!("{}/called", called.notice),
            Self::Reached(reached) => format!("{}/reached", reached.notice.copy_for(&reached.recipient)),
            Self::GivenUp(given_up) => format!("{}/given-up", given_up.notice),
            Self::ErrorNoticeSent(_) | Self::DeactivationNoticeSent(_) | Self::Sent(_) | Self::Acknowledged(_) => {
                self.notice().to_string()
            }
        }
    }

    pub fn notice(&self) -> NoticeId {
        match self {
            Self::ErrorNoticeSent(sent) => sent.notice,
            Self::DeactivationNoticeSent(sent) => sent.notice,
            Self::CalledFor(called) => called.notice,
            Self::Sent(sent) => sent.notice,
            Self::Reached(reached) => reached.notice,
            Self::GivenUp(given_up) => given_up.notice,
            Self::Acknowledged(acknowledged) => NoticeId::of_acknowledgement(acknowledged),
        }
    }

    pub fn account(&self) -> &AccountId {
        match self {
            Self::ErrorNoticeSent(sent) => &sent.account,
            Self::DeactivationNoticeSent(sent) => &sent.account,
            Self::CalledFor(called) => &called.account,
            Self::Sent(sent) => &sent.account,
            Self::Reached(reached) => &reached.account,
            Self::GivenUp(given_up) => &given_up.account,
            Self::Acknowledged(acknowledged) => &acknowledged.account,
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
