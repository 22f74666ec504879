//! The request which events the read model has, and its response.

use bytes::Bytes;
use domain::{AccountId, EventId, LeadId};
use prost::Message as _;

use crate::{
    Record, RecordError,
    primitives::{message, non_empty, or_empty, parsed},
    stored,
};

/// The request: which of these events does the read model have?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsQuestion(pub Vec<(AccountId, EventId)>);

/// The lead of each event, in the order of the request; `None` if the read model does not have the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsAnswer(pub Vec<Option<LeadId>>);

impl Record for KnownEventsQuestion {
    const NAME: &'static str = "question about events";

    fn encode(&self) -> Bytes {
        let key = |(account, event_id): &(AccountId, EventId)| stored::EventKey {
            account: account.to_string(),
            event_id: event_id.to_string(),
        };
        stored::KnownEventsQuestion { events: self.0.iter().map(key).collect() }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let question: stored::KnownEventsQuestion = message(Self::NAME, bytes)?;
        let key = |key: &stored::EventKey| {
            let account = parsed(Self::NAME, "account", &key.account, AccountId::parse)?;
            Ok((account, parsed(Self::NAME, "event_id", &key.event_id, EventId::parse)?))
        };
        question.events.iter().map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl Record for KnownEventsAnswer {
    const NAME: &'static str = "answer about events";

    fn encode(&self) -> Bytes {
        let leads = self.0.iter().map(|lead| or_empty(lead.as_ref().map(LeadId::as_str))).collect();
        stored::KnownEventsAnswer { leads }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let answer: stored::KnownEventsAnswer = message(Self::NAME, bytes)?;
        let lead =
            |text: &String| non_empty(text).map(|text| parsed(Self::NAME, "leads", text, LeadId::parse)).transpose();
        answer.leads.iter().map(lead).collect::<Result<_, _>>().map(Self)
    }
}
