//! What people are told, and that they were told.
//!
//! [`watch`] decides what a fact about a delivery calls for, [`lead_watch`] what new leads do. What is called for is recorded ([`NoticeCalledFor`]), and so
//! is that it was sent. Neither holds anything of a lead: whoever writes the mail looks that up.

mod ids;
mod lead_watch;
mod watch;

use jiff::Timestamp;

use crate::{
    delivery::{DeliveryFact, DeliveryRef, FailureReason, Verdict},
    ids::{AccountId, DeliveryId, DestinationId, EventType, InterfaceId, LeadId, NoticeId},
    lead::LeadEvent,
    registry::Interface,
};

pub use lead_watch::{LeadExample, LeadWatch, LeadWindow, SeenLead};
pub use watch::{Called, ErrorCount, Operation, Rules, Seen, Watch, Watched, Window};

/// A fact about telling people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeFact {
    /// An email about a failed delivery was handed to the mail server.
    ErrorNoticeSent(ErrorNoticeSent),
    /// An email about a deactivated destination was handed to the mail server.
    DeactivationNoticeSent(DeactivationNoticeSent),
    /// Somebody is to be told something.
    CalledFor(NoticeCalledFor),
    /// An email about something else was handed to the mail server.
    Sent(NoticeSent),
    /// One of several people has got the email.
    Reached(NoticeReached),
    /// Some people get no email.
    GivenUp(NoticeGivenUp),
}

/// What a notice is about, in a word.
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
    /// The question whether an address may be mailed at all.
    Confirmation,
}

impl NoticeKind {
    /// Every kind.
    #[rustfmt::skip]
    pub const ALL: [Self; 6] = [
        Self::Error, Self::Deactivation, Self::RepeatedFailures, Self::Recovery, Self::Lead, Self::Confirmation,
    ];

    /// The word that is stored and shown.
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

    /// Whether it comes before mails of the other kinds: it tells that leads do not arrive, or that they do again.
    pub const fn has_precedence(self) -> bool {
        match self {
            Self::Error | Self::Deactivation | Self::RepeatedFailures | Self::Recovery => true,
            Self::Lead | Self::Confirmation => false,
        }
    }
}

/// What is known about who was told a notice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// It is recorded as told: nobody is left.
    pub done: bool,
    /// Who has got it so far.
    pub reached: Vec<String>,
}

impl Told {
    /// Adds what a fact says about a notice.
    pub fn learn(&mut self, notice: NoticeId, fact: &NoticeFact) {
        match fact {
            _ if fact.notice() != notice => {}
            NoticeFact::ErrorNoticeSent(_) | NoticeFact::DeactivationNoticeSent(_) | NoticeFact::Sent(_) => {
                self.done = true;
            }
            NoticeFact::Reached(reached) => self.reached.push(reached.recipient.clone()),
            NoticeFact::CalledFor(_) | NoticeFact::GivenUp(_) => {}
        }
    }
}

/// Somebody is to be told something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeCalledFor {
    /// Computed from what it is about.
    pub notice: NoticeId,
    /// Whose business it is.
    pub account: AccountId,
    /// When that began, as the broker tells time: a mail about it cannot have gone out before.
    pub since: Timestamp,
    /// It may have been called for before, by a process that died.
    pub again: bool,
    /// What it is about.
    pub about: About,
}

/// What a notice is about. Sequences are places in DELIVERIES unless something else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// The failure that is recorded at `sequence`.
    Failure {
        /// Where it should have gone.
        destination: DestinationId,
        /// Its place.
        sequence: u64,
    },
    /// Failures that came within a window after a notice.
    FurtherFailures {
        /// Where they should have gone.
        destination: DestinationId,
        /// What they were.
        window: Window,
    },
    /// A destination fails again and again.
    RepeatedFailures {
        /// The destination.
        destination: DestinationId,
        /// How many deliveries in a row.
        failures: u32,
        /// When the first of them failed.
        failing_since: Timestamp,
        /// The last of them.
        sequence: u64,
    },
    /// A destination works again.
    Recovery {
        /// The destination.
        destination: DestinationId,
        /// When the delivery succeeded that shows it.
        at: Timestamp,
        /// When the first of the failures before it happened, if they are known.
        failing_since: Option<Timestamp>,
        /// A notice told that it failed again and again.
        was_alerted: bool,
        /// A rule had switched it off.
        was_deactivated: bool,
    },
    /// A new lead.
    Lead {
        /// Where it came from.
        interface: InterfaceId,
        /// The lead.
        lead: LeadId,
        /// The place of its event in LEADS.
        sequence: u64,
    },
    /// Leads that came within a window after a notice.
    FurtherLeads {
        /// Where they came from.
        interface: InterfaceId,
        /// What they were.
        window: LeadWindow,
    },
}

impl About {
    /// Its kind.
    pub const fn kind(&self) -> NoticeKind {
        match self {
            Self::Failure { .. } | Self::FurtherFailures { .. } => NoticeKind::Error,
            Self::RepeatedFailures { .. } => NoticeKind::RepeatedFailures,
            Self::Recovery { .. } => NoticeKind::Recovery,
            Self::Lead { .. } | Self::FurtherLeads { .. } => NoticeKind::Lead,
        }
    }

    /// The destination that it is about, if it is about one.
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
    /// What called for it says which.
    pub notice: NoticeId,
    /// Whose business it is.
    pub account: AccountId,
    /// What it was about.
    pub kind: NoticeKind,
    /// The destination that it was about, if it was about one.
    pub destination: Option<DestinationId>,
    /// The lead that it was about, if it was about one.
    pub lead: Option<LeadId>,
    /// Who was told.
    pub recipients: Vec<String>,
    /// What the subject line said.
    pub subject: String,
    /// When.
    pub at: Timestamp,
}

/// The mail server took the email for one of several people: he need not get it again because of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeReached {
    /// What called for it says which.
    pub notice: NoticeId,
    /// Whose business it is.
    pub account: AccountId,
    /// Who has got it.
    pub recipient: String,
    /// When.
    pub at: Timestamp,
}

/// The mail server refused an email for good, or did not take it for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeGivenUp {
    /// What called for it says which.
    pub notice: NoticeId,
    /// Whose business it is.
    pub account: AccountId,
    /// What it was about.
    pub kind: NoticeKind,
    /// The destination that it was about, if it was about one.
    pub destination: Option<DestinationId>,
    /// The lead that it was about, if it was about one.
    pub lead: Option<LeadId>,
    /// The failed delivery that it was about, if it was about one.
    pub delivery: Option<DeliveryId>,
    /// Who was not told.
    pub recipients: Vec<String>,
    /// What the mail server said about the first of them.
    pub reason: String,
    /// When.
    pub at: Timestamp,
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
        match self {
            Self::CalledFor(called) => format!("{}/called", called.notice),
            Self::Reached(reached) => format!("{}/reached", reached.notice.copy_for(&reached.recipient)),
            Self::GivenUp(given_up) => format!("{}/given-up", given_up.notice),
            Self::ErrorNoticeSent(_) | Self::DeactivationNoticeSent(_) | Self::Sent(_) => self.notice().to_string(),
        }
    }

    /// Which notice it is about.
    pub fn notice(&self) -> NoticeId {
        match self {
            Self::ErrorNoticeSent(sent) => sent.notice,
            Self::DeactivationNoticeSent(sent) => sent.notice,
            Self::CalledFor(called) => called.notice,
            Self::Sent(sent) => sent.notice,
            Self::Reached(reached) => reached.notice,
            Self::GivenUp(given_up) => given_up.notice,
        }
    }

    /// Whose notice it is.
    pub fn account(&self) -> &AccountId {
        match self {
            Self::ErrorNoticeSent(sent) => &sent.account,
            Self::DeactivationNoticeSent(sent) => &sent.account,
            Self::CalledFor(called) => &called.account,
            Self::Sent(sent) => &sent.account,
            Self::Reached(reached) => &reached.account,
            Self::GivenUp(given_up) => &given_up.account,
        }
    }
}

/// The notice that a lead event at `sequence` in LEADS calls for: one for each new lead of an interface whose people want
/// to hear of them.
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

/// The failure that a fact tells of and that people have to know of: one for each round of a delivery that ends so.
pub fn failure_in(fact: &DeliveryFact) -> Option<(NoticeId, &DeliveryRef)> {
    // Whoever asked for a test looks at what came of it.
    if fact.reference().event_type.is_test() {
        return None;
    }
    let round = match fact {
        DeliveryFact::Attempted(f) if matches!(f.verdict, Verdict::Failed(_)) => f.round,
        // The other reasons to abandon a delivery are decisions of people, who know already.
        DeliveryFact::Abandoned(f) if matches!(f.reason, FailureReason::PayloadGone | FailureReason::Crashed) => {
            f.round
        }
        _ => return None,
    };
    let reference = fact.reference();
    Some((NoticeId::of_failure(reference.delivery, round), reference))
}
