//! Requests for the events that the read model has, and their responses.

use bytes::Bytes;
use domain::{AccountId, EventId, LeadId, LeadSequence, lead::KnownEvent};
use prost::Message as _;

use crate::{
    primitives::{message, non_empty, or_empty, parsed},
    record::{Record, RecordError},
    stored,
};

/// The account and the id of an event.
pub type EventKey = (AccountId, EventId);

/// The request: which of these events does the read model have?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsQuestion(pub Vec<EventKey>);

/// The known events, in the order of the request; `None` if the read model does not have the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsAnswer(pub Vec<Option<KnownEvent>>);

/// The request for the page of events after this key; `None` asks for the first page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsPageQuestion(pub Option<EventKey>);

/// Some events that the read model has, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsPage {
    /// Empty if the page before was the last one.
    pub events: Vec<EventKey>,
    /// The page has every event of LEADS up to this sequence whose key is in the range of the page.
    pub checkpoint: u64,
}

/// The response to a request for a page; `None` if the read model does not answer, or does not have all anonymised
/// events yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEventsPageAnswer(pub Option<KnownEventsPage>);

impl Record for KnownEventsQuestion {
    const NAME: &'static str = "request for known events";

    fn encode(&self) -> Bytes {
        stored::KnownEventsQuestion { events: self.0.iter().map(key_to_event).collect() }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let question: stored::KnownEventsQuestion = message(Self::NAME, bytes)?;
        let key = |key| key_from_event(Self::NAME, key);
        question.events.iter().map(key).collect::<Result<_, _>>().map(Self)
    }
}

impl Record for KnownEventsPageQuestion {
    const NAME: &'static str = "request for a page of known events";

    fn encode(&self) -> Bytes {
        stored::KnownEventsPageQuestion { after: self.0.as_ref().map(key_to_event) }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let question: stored::KnownEventsPageQuestion = message(Self::NAME, bytes)?;
        question.after.as_ref().map(|key| key_from_event(Self::NAME, key)).transpose().map(Self)
    }
}

impl Record for KnownEventsPageAnswer {
    const NAME: &'static str = "page of known events";

    fn encode(&self) -> Bytes {
        let page = match &self.0 {
            Some(page) => stored::KnownEventsPage {
                events: page.events.iter().map(key_to_event).collect(),
                checkpoint: page.checkpoint,
                unavailable: false,
            },
            None => stored::KnownEventsPage { unavailable: true, ..stored::KnownEventsPage::default() },
        };
        page.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let page: stored::KnownEventsPage = message(Self::NAME, bytes)?;
        if page.unavailable {
            return Ok(Self(None));
        }
        let events = page.events.iter().map(|key| key_from_event(Self::NAME, key)).collect::<Result<_, _>>()?;
        Ok(Self(Some(KnownEventsPage { events, checkpoint: page.checkpoint })))
    }
}

fn key_to_event((account, event_id): &EventKey) -> stored::EventKey {
    stored::EventKey { account: account.to_string(), event_id: event_id.to_string() }
}

fn key_from_event(record: &'static str, key: &stored::EventKey) -> Result<EventKey, RecordError> {
    let account = parsed(record, "account", &key.account, AccountId::parse)?;
    Ok((account, parsed(record, "event_id", &key.event_id, EventId::parse)?))
}

impl Record for KnownEventsAnswer {
    const NAME: &'static str = "response about known events";

    fn encode(&self) -> Bytes {
        let leads = self.0.iter().map(|known| or_empty(known.as_ref().map(|known| known.lead.as_str()))).collect();
        let sequence =
            |known: &Option<KnownEvent>| known.as_ref().and_then(|known| known.sequence).map_or(0, |at| at.0);
        let sequences = self.0.iter().map(sequence).collect();
        stored::KnownEventsAnswer { leads, sequences }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let answer: stored::KnownEventsAnswer = message(Self::NAME, bytes)?;
        let lead =
            |text: &String| non_empty(text).map(|text| parsed(Self::NAME, "leads", text, LeadId::parse)).transpose();
        let sequence = |index: usize| answer.sequences.get(index).filter(|at| **at > 0).map(|at| LeadSequence(*at));
        let known = |(index, text): (usize, &String)| {
            Ok(lead(text)?.map(|lead| KnownEvent { lead, sequence: sequence(index) }))
        };
        answer.leads.iter().enumerate().map(known).collect::<Result<_, _>>().map(Self)
    }
}
