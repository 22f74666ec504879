//! Stored facts about notices.

use bytes::Bytes;
use domain::{
    AccountId, DeliveryId, DestinationId, InterfaceId, LeadId, NoticeFact, NoticeId,
    notice::{
        About, DeactivationNoticeSent, ErrorNoticeSent, NoticeCalledFor, NoticeGivenUp, NoticeKind, NoticeReached,
        NoticeSent, ProblemAcknowledged,
    },
    problem::Cause,
};
use prost::Message as _;
use stored::{notice_called_for as called_for, notice_fact::Fact};

use crate::{
    interface_state::{lead_window, lead_window_to_stored},
    primitives::{message, non_empty, or_empty, parsed, time, uuid, wrong},
    record::{Record, RecordError},
    stored,
    window::{window, window_to_stored},
};

const FACT: &str = "notice fact";

impl Record for NoticeFact {
    const NAME: &'static str = FACT;

    fn encode(&self) -> Bytes {
        let fact = match self {
            Self::ErrorNoticeSent(f) => Fact::ErrorNoticeSent(stored::ErrorNoticeSent {
                notice: f.notice.uuid().as_bytes().to_vec(),
                account: f.account.to_string(),
                interface: f.interface.to_string(),
                lead: f.lead.to_string(),
                delivery: f.delivery.uuid().as_bytes().to_vec(),
                destination: f.destination.to_string(),
                recipients: f.recipients.clone(),
                subject: f.subject.clone(),
                at: f.at.as_microsecond(),
            }),
            Self::DeactivationNoticeSent(f) => Fact::DeactivationNoticeSent(stored::DeactivationNoticeSent {
                notice: f.notice.uuid().as_bytes().to_vec(),
                account: f.account.to_string(),
                destination: f.destination.to_string(),
                recipients: f.recipients.clone(),
                subject: f.subject.clone(),
                at: f.at.as_microsecond(),
            }),
            Self::CalledFor(called) => Fact::CalledFor(called_to_stored(called)),
            Self::Sent(sent) => Fact::Sent(stored::NoticeSent {
                notice: sent.notice.uuid().as_bytes().to_vec(),
                account: sent.account.to_string(),
                kind: sent.kind.as_str().to_owned(),
                destination: or_empty(sent.destination.as_ref().map(DestinationId::as_str)),
                lead: or_empty(sent.lead.as_ref().map(LeadId::as_str)),
                recipients: sent.recipients.clone(),
                subject: sent.subject.clone(),
                at: sent.at.as_microsecond(),
            }),
            Self::Reached(reached) => Fact::Reached(stored::NoticeReached {
                notice: reached.notice.uuid().as_bytes().to_vec(),
                account: reached.account.to_string(),
                recipient: reached.recipient.clone(),
                at: reached.at.as_microsecond(),
            }),
            Self::GivenUp(f) => Fact::GivenUp(stored::NoticeGivenUp {
                notice: f.notice.uuid().as_bytes().to_vec(),
                account: f.account.to_string(),
                kind: f.kind.as_str().to_owned(),
                destination: or_empty(f.destination.as_ref().map(DestinationId::as_str)),
                lead: or_empty(f.lead.as_ref().map(LeadId::as_str)),
                delivery: f.delivery.map(|id| id.uuid().as_bytes().to_vec()).unwrap_or_default(),
                recipients: f.recipients.clone(),
                reason: f.reason.clone(),
                at: f.at.as_microsecond(),
            }),
            Self::Acknowledged(f) => Fact::ProblemAcknowledged(stored::ProblemAcknowledged {
                account: f.account.to_string(),
                destination: f.destination.to_string(),
                cause: f.cause.to_string(),
                by: f.by.clone(),
                at: f.at.as_microsecond(),
            }),
        };
        stored::NoticeFact { fact: Some(fact) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::NoticeFact = message(Self::NAME, bytes)?;
        let unknown = || wrong(Self::NAME, "fact", "is missing or of an unknown kind");
        Ok(match stored.fact.ok_or_else(unknown)? {
            Fact::ErrorNoticeSent(f) => Self::ErrorNoticeSent(ErrorNoticeSent {
                notice: NoticeId::from_uuid(uuid(Self::NAME, "notice", &f.notice)?),
                account: parsed(Self::NAME, "account", &f.account, AccountId::parse)?,
                interface: parsed(Self::NAME, "interface", &f.interface, InterfaceId::parse)?,
                lead: parsed(Self::NAME, "lead", &f.lead, LeadId::parse)?,
                delivery: DeliveryId::from_uuid(uuid(Self::NAME, "delivery", &f.delivery)?),
                destination: parsed(Self::NAME, "destination", &f.destination, DestinationId::parse)?,
                recipients: f.recipients,
                subject: f.subject,
                at: time(Self::NAME, "at", f.at)?,
            }),
            Fact::DeactivationNoticeSent(f) => Self::DeactivationNoticeSent(DeactivationNoticeSent {
                notice: NoticeId::from_uuid(uuid(Self::NAME, "notice", &f.notice)?),
                account: parsed(Self::NAME, "account", &f.account, AccountId::parse)?,
                destination: parsed(Self::NAME, "destination", &f.destination, DestinationId::parse)?,
                recipients: f.recipients,
                subject: f.subject,
                at: time(Self::NAME, "at", f.at)?,
            }),
            Fact::CalledFor(called) => Self::CalledFor(called_from_stored(called)?),
            Fact::Sent(f) => Self::Sent(NoticeSent {
                notice: NoticeId::from_uuid(uuid(FACT, "notice", &f.notice)?),
                account: parsed(FACT, "account", &f.account, AccountId::parse)?,
                kind: kind(&f.kind)?,
                destination: non_empty(&f.destination).map(destination).transpose()?,
                lead: non_empty(&f.lead).map(|text| parsed(FACT, "lead", text, LeadId::parse)).transpose()?,
                recipients: f.recipients,
                subject: f.subject,
                at: time(FACT, "at", f.at)?,
            }),
            Fact::Reached(f) => Self::Reached(NoticeReached {
                notice: NoticeId::from_uuid(uuid(FACT, "notice", &f.notice)?),
                account: parsed(FACT, "account", &f.account, AccountId::parse)?,
                recipient: f.recipient,
                at: time(FACT, "at", f.at)?,
            }),
            Fact::GivenUp(f) => Self::GivenUp(given_up_from_stored(f)?),
            Fact::ProblemAcknowledged(f) => Self::Acknowledged(ProblemAcknowledged {
                account: parsed(FACT, "account", &f.account, AccountId::parse)?,
                destination: destination(&f.destination)?,
                cause: Cause::parse(&f.cause).ok_or_else(|| wrong(FACT, "cause", "is of an unknown kind"))?,
                by: f.by,
                at: time(FACT, "at", f.at)?,
            }),
        })
    }
}

fn given_up_from_stored(stored: stored::NoticeGivenUp) -> Result<NoticeGivenUp, RecordError> {
    let delivery = Some(&stored.delivery).filter(|id| !id.is_empty());
    Ok(NoticeGivenUp {
        notice: NoticeId::from_uuid(uuid(FACT, "notice", &stored.notice)?),
        account: parsed(FACT, "account", &stored.account, AccountId::parse)?,
        kind: kind(&stored.kind)?,
        destination: non_empty(&stored.destination).map(destination).transpose()?,
        lead: non_empty(&stored.lead).map(|text| parsed(FACT, "lead", text, LeadId::parse)).transpose()?,
        delivery: delivery.map(|id| uuid(FACT, "delivery", id).map(DeliveryId::from_uuid)).transpose()?,
        recipients: stored.recipients,
        reason: stored.reason,
        at: time(FACT, "at", stored.at)?,
    })
}

pub(crate) fn called_to_stored(called: &NoticeCalledFor) -> stored::NoticeCalledFor {
    use called_for::About as Stored;
    let about = match &called.about {
        About::Failure { destination, sequence } => {
            Stored::Failure(stored::Failure { destination: destination.to_string(), sequence: *sequence })
        }
        About::FurtherFailures { destination, window } => Stored::FurtherFailures(stored::FurtherFailures {
            destination: destination.to_string(),
            window: Some(window_to_stored(window)),
        }),
        About::RepeatedFailures { destination, failures, failing_since, sequence } => {
            Stored::RepeatedFailures(stored::RepeatedFailures {
                destination: destination.to_string(),
                failures: *failures,
                failing_since: failing_since.as_microsecond(),
                sequence: *sequence,
            })
        }
        About::Recovery { destination, at, failing_since, was_alerted, was_deactivated } => {
            Stored::Recovery(stored::RecoveryNotice {
                destination: destination.to_string(),
                at: at.as_microsecond(),
                failing_since: failing_since.map(|at| at.as_microsecond()),
                was_alerted: *was_alerted,
                was_deactivated: *was_deactivated,
            })
        }
        About::FurtherLeads { interface, window } => Stored::FurtherLeads(stored::FurtherLeads {
            interface: interface.to_string(),
            window: Some(lead_window_to_stored(window)),
        }),
        About::Lead { interface, lead, sequence } => Stored::Lead(stored::NewLead {
            interface: interface.to_string(),
            lead: lead.to_string(),
            sequence: *sequence,
        }),
    };
    stored::NoticeCalledFor {
        notice: called.notice.uuid().as_bytes().to_vec(),
        account: called.account.to_string(),
        since: called.since.as_microsecond(),
        again: called.again,
        about: Some(about),
    }
}

pub(crate) fn called_from_stored(stored: stored::NoticeCalledFor) -> Result<NoticeCalledFor, RecordError> {
    use called_for::About as Stored;
    let unknown = || wrong(FACT, "about", "is missing or of an unknown kind");
    let about = match stored.about.ok_or_else(unknown)? {
        Stored::Failure(f) => About::Failure { destination: destination(&f.destination)?, sequence: f.sequence },
        Stored::FurtherFailures(f) => {
            let missing = || wrong(FACT, "window", "is missing");
            let window = window(FACT, f.window.ok_or_else(missing)?)?;
            About::FurtherFailures { destination: destination(&f.destination)?, window }
        }
        Stored::RepeatedFailures(f) => About::RepeatedFailures {
            destination: destination(&f.destination)?,
            failures: f.failures,
            failing_since: time(FACT, "failing_since", f.failing_since)?,
            sequence: f.sequence,
        },
        Stored::Recovery(f) => About::Recovery {
            destination: destination(&f.destination)?,
            at: time(FACT, "at", f.at)?,
            failing_since: f.failing_since.map(|at| time(FACT, "failing_since", at)).transpose()?,
            was_alerted: f.was_alerted,
            was_deactivated: f.was_deactivated,
        },
        Stored::FurtherLeads(f) => {
            let missing = || wrong(FACT, "window", "is missing");
            let window = lead_window(FACT, f.window.ok_or_else(missing)?)?;
            About::FurtherLeads { interface: parsed(FACT, "interface", &f.interface, InterfaceId::parse)?, window }
        }
        Stored::Lead(f) => About::Lead {
            interface: parsed(FACT, "interface", &f.interface, InterfaceId::parse)?,
            lead: parsed(FACT, "lead", &f.lead, LeadId::parse)?,
            sequence: f.sequence,
        },
    };
    Ok(NoticeCalledFor {
        notice: NoticeId::from_uuid(uuid(FACT, "notice", &stored.notice)?),
        account: parsed(FACT, "account", &stored.account, AccountId::parse)?,
        since: time(FACT, "since", stored.since)?,
        again: stored.again,
        about,
    })
}

fn destination(text: &str) -> Result<DestinationId, RecordError> {
    parsed(FACT, "destination", text, DestinationId::parse)
}

fn kind(word: &str) -> Result<NoticeKind, RecordError> {
    NoticeKind::parse(word).ok_or_else(|| wrong(FACT, "kind", format!("{word:?} is unknown")))
}
