//! Appending facts: pipelined, idempotent within the deduplication window, and `Ok` only once the broker has them.

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError, PublishErrorKind},
    message::PublishMessage,
    publish::PublishAck,
};
use bytes::Bytes;
use domain::{DeliveryFact, LeadEvent, LeadSequence, NoticeFact, RegistryFact};
use futures::future::join_all;
use runtime::trace::TraceContext;
use tokio::sync::oneshot;
use wire::Record;

use crate::{
    Journal, JournalError, StreamName, connection::broker_info, connection::connect::Batchers,
    connection::health::Health, headers, publish::batch::Batcher, registry::freshness::settled, subjects,
};

const ASKED: &str = "store a fact";

/// How an event comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// It is routed before what comes in bursts.
    Steady,
    /// One of very many: it is routed when nothing else waits for that.
    Burst,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the fact is in its stream; of a duplicate: where the first one is.
    pub sequence: u64,
    /// It had been appended before.
    pub duplicate: bool,
}

/// A message on its way to the broker.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) id: Option<String>,
    pub(crate) trace: TraceContext,
    pub(crate) body: Bytes,
}

impl Outgoing {
    pub(crate) fn message(&self) -> PublishMessage {
        let message = PublishMessage::build().payload(self.body.clone()).headers(headers::carrying(&self.trace));
        match &self.id {
            Some(id) => message.message_id(id),
            None => message,
        }
    }
}

impl Journal {
    /// Stores a lead event.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn append_lead(&self, event: &LeadEvent, trace: &TraceContext) -> Result<Appended, JournalError> {
        self.submit_lead(event, Traffic::Steady, trace).await?.stored().await
    }

    /// Sends a lead event on its way. Those that are sent one after another are stored in this order.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker is away.
    pub async fn submit_lead(
        &self,
        event: &LeadEvent,
        traffic: Traffic,
        trace: &TraceContext,
    ) -> Result<Submitted, JournalError> {
        let outgoing = Outgoing {
            subject: subjects::lead(event, traffic),
            id: Some(event.message_id()),
            trace: trace.clone(),
            body: event.encode(),
        };
        self.health().stores(StreamName::Leads)?;
        self.submit(outgoing, |batchers| &batchers.leads).await
    }

    /// Stores a fact about a delivery.
    ///
    /// # Errors
    /// As [`Journal::append_lead`].
    pub async fn append_delivery(&self, fact: &DeliveryFact, trace: &TraceContext) -> Result<Appended, JournalError> {
        self.store(delivery(fact, trace), |batchers| &batchers.deliveries).await
    }

    /// Stores facts about deliveries, all under way at once.
    ///
    /// # Errors
    /// As [`Journal::append_lead`], for the first that fails; others may have been stored.
    pub async fn append_deliveries(&self, facts: &[DeliveryFact], trace: &TraceContext) -> Result<(), JournalError> {
        let appends = facts.iter().map(|fact| self.append_delivery(fact, trace));
        join_all(appends).await.into_iter().try_for_each(|appended| appended.map(drop))
    }

    /// Stores that people were told.
    ///
    /// # Errors
    /// As [`Journal::append_lead`].
    pub async fn append_notice(&self, fact: &NoticeFact, trace: &TraceContext) -> Result<Appended, JournalError> {
        let id = Some(fact.message_id());
        self.send(&Outgoing { subject: subjects::notice(fact), id, trace: trace.clone(), body: fact.encode() }).await
    }

    /// Stores a change of the configuration if the last fact about the same thing is still the one at
    /// `expected_version` (0: there is none). From the answer on everybody who asks for
    /// [`RegistryView::up_to_date`](crate::RegistryView::up_to_date) gets it, or what was there first.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when it is not; else as [`Journal::append_lead`].
    pub async fn append_registry(&self, fact: &RegistryFact, expected_version: u64) -> Result<u64, JournalError> {
        let message = PublishMessage::build().payload(fact.encode()).expected_last_subject_sequence(expected_version);
        let sent = self.context().send_publish(subjects::registry(fact), message).await;
        let stored = self.confirm(sent).await;
        settled().await;
        Ok(stored?.sequence)
    }

    /// The lead event at a place in LEADS; none: it is gone, or cannot be read, which waiting does not mend.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn lead_at(&self, sequence: LeadSequence) -> Result<Option<LeadEvent>, JournalError> {
        use async_nats::jetstream::stream::{DirectGetErrorKind as Kind, RawMessageErrorKind as RawKind};
        let asked = "give a lead event";
        let stream = broker_info::stream(self.context(), StreamName::Leads, asked).await?;
        let found = match stream.direct_get(sequence.0).await {
            Ok(message) => Some(message),
            // Any replica answers a direct get, and one of them may not have got so far. The leader knows.
            Err(error) if matches!(error.kind(), Kind::NotFound) => match stream.get_raw_message(sequence.0).await {
                Ok(message) => Some(message),
                Err(error) if matches!(error.kind(), RawKind::NoMessageFound) => None,
                Err(error) => return Err(JournalError::unavailable(asked, error)),
            },
            Err(error) => return Err(JournalError::unavailable(asked, error)),
        };
        let Some(found) = found else { return Ok(None) };
        match LeadEvent::decode(found.payload.clone()) {
            Ok(event) => Ok(Some(event)),
            Err(error) => {
                self.set_aside(StreamName::Leads, "payloads", sequence.0, found.payload, &error).await?;
                Ok(None)
            }
        }
    }

    /// Stores a message, together with others where that is cheaper.
    pub(crate) async fn store(
        &self,
        outgoing: Outgoing,
        choose: impl FnOnce(&Batchers) -> &Batcher,
    ) -> Result<Appended, JournalError> {
        self.submit(outgoing, choose).await?.stored().await
    }

    async fn submit(
        &self,
        outgoing: Outgoing,
        choose: impl FnOnce(&Batchers) -> &Batcher,
    ) -> Result<Submitted, JournalError> {
        let on_its_way = match self.batchers() {
            Some(batchers) => OnItsWay::Batched(choose(batchers).submit(outgoing).await?),
            None => OnItsWay::Sent(self.context().send_publish(outgoing.subject.clone(), outgoing.message()).await),
        };
        Ok(Submitted { on_its_way, health: self.health().clone() })
    }

    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<Appended, JournalError> {
        let sent = self.context().send_publish(outgoing.subject.clone(), outgoing.message()).await;
        self.confirm(sent).await.map(Appended::from)
    }

    /// Waits for the acknowledgement of what was sent, and finds out why there is none.
    pub(crate) async fn confirm(
        &self,
        sent: Result<PublishAckFuture, PublishError>,
    ) -> Result<PublishAck, JournalError> {
        outcome(self.health(), confirmed(sent).await).await
    }
}

async fn outcome<T>(health: &Health, stored: Result<T, JournalError>) -> Result<T, JournalError> {
    match stored {
        Ok(stored) => {
            health.acknowledged();
            Ok(stored)
        }
        Err(error) => Err(health.explain(error).await),
    }
}

/// A message on its way to the broker. It takes room on the connection until it is stored or dropped.
#[derive(Debug)]
pub struct Submitted {
    on_its_way: OnItsWay,
    health: Health,
}

#[derive(Debug)]
enum OnItsWay {
    Sent(Result<PublishAckFuture, PublishError>),
    Batched(oneshot::Receiver<Result<Appended, JournalError>>),
}

impl Submitted {
    /// Waits until the broker has it.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time, [`JournalError::CannotStore`] when
    /// it is known why.
    pub async fn stored(self) -> Result<Appended, JournalError> {
        let stored = match self.on_its_way {
            OnItsWay::Sent(sent) => confirmed(sent).await.map(Appended::from),
            OnItsWay::Batched(answer) => answer.await.map_err(|_| stopped())?,
        };
        outcome(&self.health, stored).await
    }
}

pub(crate) fn stopped() -> JournalError {
    JournalError::unavailable(ASKED, "this process is stopping")
}

impl From<PublishAck> for Appended {
    fn from(ack: PublishAck) -> Self {
        Self { sequence: ack.sequence, duplicate: ack.duplicate }
    }
}

fn delivery(fact: &DeliveryFact, trace: &TraceContext) -> Outgoing {
    let id = Some(fact.message_id());
    Outgoing { subject: subjects::delivery(fact), id, trace: trace.clone(), body: fact.encode() }
}

/// Waits for the acknowledgement of what was sent.
pub(crate) async fn confirmed(sent: Result<PublishAckFuture, PublishError>) -> Result<PublishAck, JournalError> {
    let acknowledged = match sent {
        Ok(sent) => sent.await,
        Err(error) => Err(error),
    };
    acknowledged.map_err(|error| match error.kind() {
        PublishErrorKind::WrongLastSequence => JournalError::LostRace,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::StreamNotFound => {
            JournalError::unavailable(ASKED, error)
        }
        _ => JournalError::refused(ASKED, error),
    })
}
