//! Notices, and the facts about them.
//!
//! [`destination_health`] decides which notices a fact about a delivery calls for, and [`interface_state`] decides
//! which notices new leads call for. One fact stores that a notice was called for ([`NoticeCalledFor`]), and another
//! that it was sent. Neither fact contains data of a lead. The notifier looks up this data when it writes the mail.

mod called_for;
mod destination_health;
mod ids;
mod interface_state;
pub(crate) mod kind;
mod window;

use jiff::Timestamp;

use crate::{
    ids::{AccountId, DeliveryId, DestinationId, InterfaceId, LeadId, NoticeId},
    problem::Cause,
};

pub use called_for::{About, NoticeCalledFor, called_for_by_lead, failure_in};
pub use destination_health::{DestinationHealth, DestinationState, Observed, Operation, Reaction, Rules};
pub use interface_state::{InterfaceState, ObservedLead};
pub use kind::NoticeKind;
pub use window::{ErrorCount, LeadExample, LeadWindow, Window};

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
    /// The mail server accepted the email for one of several recipients.
    Reached(NoticeReached),
    /// Some recipients get no email.
    GivenUp(NoticeGivenUp),
    /// A person has acknowledged a problem.
    Acknowledged(ProblemAcknowledged),
}

/// Which recipients of a notice have got their mail, as far as the facts show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoticeProgress {
    /// Whether no recipient is still waiting for the mail.
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

/// The mail server accepted the email for one of several recipients. A retry for the others does not send the email to
/// this recipient again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeReached {
    pub notice: NoticeId,
    pub account: AccountId,
    pub recipient: String,
    pub at: Timestamp,
}

/// The mail server refused an email permanently, or did not accept it for too long.
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
    /// The message id. Of several appends with the same id, the broker stores only the first.
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
