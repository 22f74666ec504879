//! What people are told, and that they were told.

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryFact, DeliveryRef, FailureReason, Verdict},
    ids::{AccountId, DeliveryId, DestinationId, InterfaceId, LeadId, NoticeId},
};

/// A fact about telling people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeFact {
    /// An email about a failed delivery was handed to the mail server.
    ErrorNoticeSent(ErrorNoticeSent),
    /// An email about a deactivated destination was handed to the mail server.
    DeactivationNoticeSent(DeactivationNoticeSent),
}

/// An email about a deactivated destination was handed to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivationNoticeSent {
    /// Computed from the deactivation that it tells of.
    pub notice: NoticeId,
    /// Whose destination it is.
    pub account: AccountId,
    /// The destination.
    pub destination: DestinationId,
    /// Who was told.
    pub recipients: Vec<String>,
    /// What the subject line said.
    pub subject: String,
    /// When.
    pub at: Timestamp,
}

/// An email about a failed delivery was handed to the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorNoticeSent {
    /// Computed from the failure that it tells of.
    pub notice: NoticeId,
    /// Whose delivery failed.
    pub account: AccountId,
    /// Where the lead came from.
    pub interface: InterfaceId,
    /// The lead.
    pub lead: LeadId,
    /// The delivery.
    pub delivery: DeliveryId,
    /// Where it should have gone.
    pub destination: DestinationId,
    /// Who was told.
    pub recipients: Vec<String>,
    /// What the subject line said.
    pub subject: String,
    /// When.
    pub at: Timestamp,
}

impl NoticeFact {
    /// What makes a repeated append the same append.
    pub fn message_id(&self) -> String {
        self.notice().to_string()
    }

    /// Which notice it is about.
    pub fn notice(&self) -> NoticeId {
        match self {
            Self::ErrorNoticeSent(sent) => sent.notice,
            Self::DeactivationNoticeSent(sent) => sent.notice,
        }
    }

    /// Whose notice it is.
    pub fn account(&self) -> &AccountId {
        match self {
            Self::ErrorNoticeSent(sent) => &sent.account,
            Self::DeactivationNoticeSent(sent) => &sent.account,
        }
    }
}

/// The notice that a fact calls for: one for each round of a delivery that ends in failure.
pub fn called_for_by(fact: &DeliveryFact) -> Option<(NoticeId, &DeliveryRef)> {
    // Whoever asked for a test looks at what came of it.
    if fact.reference().event_type.is_test() {
        return None;
    }
    let round = match fact {
        DeliveryFact::Attempted(f) if matches!(f.verdict, Verdict::Failed(_)) => f.round,
        // The other reasons to abandon a delivery are decisions of people, who know already.
        DeliveryFact::Abandoned(f) if f.reason == FailureReason::PayloadGone => f.round,
        _ => return None,
    };
    let reference = fact.reference();
    Some((NoticeId::of_failure(reference.delivery, round), reference))
}
