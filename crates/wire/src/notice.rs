//! Facts about telling people, as they are stored.

use bytes::Bytes;
use domain::{
    AccountId, DeliveryId, DestinationId, InterfaceId, LeadId, NoticeFact, NoticeId,
    notice::{DeactivationNoticeSent, ErrorNoticeSent},
};
use events::notice_fact::Fact;
use prost::Message as _;

use crate::{
    Record, WireError, events,
    primitives::{message, parsed, time, uuid, wrong},
};

impl Record for NoticeFact {
    const NAME: &'static str = "notice fact";

    fn encode(&self) -> Bytes {
        let fact = match self {
            Self::ErrorNoticeSent(f) => Fact::ErrorNoticeSent(events::ErrorNoticeSent {
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
            Self::DeactivationNoticeSent(f) => Fact::DeactivationNoticeSent(events::DeactivationNoticeSent {
                notice: f.notice.uuid().as_bytes().to_vec(),
                account: f.account.to_string(),
                destination: f.destination.to_string(),
                recipients: f.recipients.clone(),
                subject: f.subject.clone(),
                at: f.at.as_microsecond(),
            }),
        };
        events::NoticeFact { fact: Some(fact) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let stored: events::NoticeFact = message(Self::NAME, bytes)?;
        let unknown = || wrong(Self::NAME, "fact", "is missing or of a kind that is not known here");
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
        })
    }
}
