//! Stored facts about anonymisation.

use bytes::Bytes;
use domain::{
    AccountId, AnonymisationFact, LeadId, LeadSequence,
    anonymisation::{EventBlanked, LeadAnonymised},
};
use prost::Message as _;
use stored::anonymisation_fact::Fact;

use crate::{
    lead::{lead_from_stored, lead_to_stored},
    primitives::{message, parsed, time, wrong},
    record::{Record, RecordError},
    stored,
};

impl Record for AnonymisationFact {
    const NAME: &'static str = "anonymisation fact";

    fn encode(&self) -> Bytes {
        let fact = match self {
            Self::LeadAnonymised(f) => Fact::LeadAnonymised(stored::LeadAnonymised {
                account: f.account.to_string(),
                lead: f.lead.to_string(),
                until: f.until.0,
                at: f.at.as_microsecond(),
                by: f.by.clone(),
            }),
            Self::EventBlanked(f) => Fact::EventBlanked(stored::EventBlanked {
                sequence: f.sequence.0,
                event: Some(lead_to_stored(&f.event)),
            }),
        };
        stored::AnonymisationFact { fact: Some(fact) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::AnonymisationFact = message(Self::NAME, bytes)?;
        let unknown = || wrong(Self::NAME, "fact", "is missing or of an unknown kind");
        Ok(match stored.fact.ok_or_else(unknown)? {
            Fact::LeadAnonymised(f) => Self::LeadAnonymised(LeadAnonymised {
                account: parsed(Self::NAME, "account", &f.account, AccountId::parse)?,
                lead: parsed(Self::NAME, "lead", &f.lead, LeadId::parse)?,
                until: LeadSequence(f.until),
                at: time(Self::NAME, "at", f.at)?,
                by: f.by,
            }),
            Fact::EventBlanked(f) => Self::EventBlanked(EventBlanked {
                sequence: LeadSequence(f.sequence),
                event: lead_from_stored(Self::NAME, f.event.ok_or_else(|| wrong(Self::NAME, "event", "is missing"))?)?,
            }),
        })
    }
}
