//! Appending facts: pipelined, idempotent within the deduplication window, and `Ok` only once the broker has stored
//! them.

use async_nats::jetstream::{
    context::{PublishAckFuture, PublishError},
    message::PublishMessage,
    publish::PublishAck,
};
use domain::{DeliveryFact, LeadEvent, LeadSequence, NoticeFact, RegistryFact};
use events::Record;
use futures::future::join_all;
use runtime::trace::TraceContext;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    connection::{
        broker_info,
        connect::{Batchers, Journal},
        health::Health,
    },
    error::JournalError,
    handles::{Deliveries, Leads, Notices, RegistryLog},
    headers, measured,
    publish::{
        batch::Batcher,
        message::{Appended, Outgoing, confirmed, stopped},
    },
    registry::freshness::wait_propagation,
    streams::StreamName,
    subjects::{self, Traffic},
};

impl Leads<'_> {
    /// # Errors
    /// As [`Leads::submit`] and [`Submitted::stored`].
    pub async fn append(self, event: &LeadEvent, trace: &TraceContext) -> Result<Appended, JournalError> {
        self.submit(event, Traffic::Steady, trace).await?.stored().await
    }

    /// Sends a lead event. Events that one caller sends one after another are stored in this order.
    ///
    /// # Errors
    /// [`JournalError::CannotStore`] if the stream is known not to store, [`JournalError::Unavailable`] if this process
    /// is stopping.
    pub async fn submit(
        self,
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
        self.journal.health().require_storing(StreamName::Leads).inspect_err(measured::not_stored)?;
        self.journal.submit(outgoing, |batchers| &batchers.leads).await
    }
}

impl Deliveries<'_> {
    /// # Errors
    /// As [`Leads::append`].
    pub async fn append(self, fact: &DeliveryFact, trace: &TraceContext) -> Result<Appended, JournalError> {
        self.journal.store(delivery(fact, trace), |batchers| &batchers.deliveries).await
    }

    /// Stores facts about deliveries, all in flight at once.
    ///
    /// # Errors
    /// As [`Leads::append`], for the first append that fails; others may have been stored.
    pub async fn append_all(self, facts: &[DeliveryFact], trace: &TraceContext) -> Result<(), JournalError> {
        let appends = facts.iter().map(|fact| self.append(fact, trace));
        join_all(appends).await.into_iter().try_for_each(|appended| appended.map(drop))
    }
}

impl Notices<'_> {
    /// # Errors
    /// As [`Leads::append`].
    pub async fn append(self, fact: &NoticeFact, trace: &TraceContext) -> Result<Appended, JournalError> {
        let id = Some(fact.message_id());
        self.journal
            .send(&Outgoing { subject: subjects::notice(fact), id, trace: trace.clone(), body: fact.encode() })
            .await
    }
}

impl RegistryLog<'_> {
    /// Stores a change of the configuration if the last fact about the same entity is still at `expected_version` (0 if
    /// there is none). The message carries the trace context of the current span. After this returns, every call of
    /// [`RegistryView::up_to_date`](crate::RegistryView::up_to_date) includes the change or, after a lost race, the
    /// change that was stored first.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another fact was stored meanwhile; otherwise as [`Leads::append`].
    pub async fn append(self, fact: &RegistryFact, expected_version: u64) -> Result<u64, JournalError> {
        let message = PublishMessage::build()
            .payload(fact.encode())
            .headers(headers::carrying(&TraceContext::current()))
            .expected_last_subject_sequence(expected_version);
        let stored = self.journal.publish(subjects::registry(fact), message).await;
        wait_propagation().await;
        Ok(stored?.sequence)
    }

    /// Appends the fact that a caller read something. No process waits for it, and no other fact depends on it.
    ///
    /// # Errors
    /// When the broker does not acknowledge it.
    pub async fn append_view(self, fact: &RegistryFact) -> Result<u64, JournalError> {
        let message = PublishMessage::build().payload(fact.encode());
        Ok(self.journal.publish(subjects::registry(fact), message).await?.sequence)
    }
}

impl Leads<'_> {
    /// The lead event at a sequence of LEADS; `None` if it is gone or unreadable, which a retry does not change.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn get(self, sequence: LeadSequence) -> Result<Option<LeadEvent>, JournalError> {
        Ok(self.get_traced(sequence).await?.map(|(event, _)| event))
    }

    /// As [`Leads::get`], with the trace context of its publisher.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn get_traced(self, sequence: LeadSequence) -> Result<Option<(LeadEvent, TraceContext)>, JournalError> {
        use async_nats::jetstream::stream::{DirectGetErrorKind as Kind, RawMessageErrorKind as RawKind};
        let operation = "read a lead event";
        let stream = broker_info::stream(self.journal.context(), StreamName::Leads, operation).await?;
        let found = match stream.direct_get(sequence.0).await {
            Ok(message) => Some(message),
            // A replica that is behind may have answered the direct get, so the leader is asked, too.
            Err(error) if matches!(error.kind(), Kind::NotFound) => match stream.get_raw_message(sequence.0).await {
                Ok(message) => Some(message),
                Err(error) if matches!(error.kind(), RawKind::NoMessageFound) => None,
                Err(error) => return Err(JournalError::unavailable(operation, error)),
            },
            Err(error) => return Err(JournalError::unavailable(operation, error)),
        };
        let Some(found) = found else { return Ok(None) };
        match LeadEvent::decode(found.payload.clone()) {
            Ok(event) => Ok(Some((event, headers::carried_by(Some(&found.headers))))),
            Err(error) => {
                self.journal.quarantine().add(StreamName::Leads, "payloads", sequence.0, found.payload, &error).await?;
                Ok(None)
            }
        }
    }
}

impl Journal {
    /// Stores a message, batched with others where that is cheaper.
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
        let (begun, stream) = (Instant::now(), StreamName::of_subject(&outgoing.subject));
        let in_flight = match self.batchers() {
            Some(batchers) => InFlight::Batched(choose(batchers).submit(outgoing).await?),
            None => InFlight::Sent(self.context().send_publish(outgoing.subject.clone(), outgoing.message()).await),
        };
        Ok(Submitted { in_flight, health: self.health().clone(), stream, begun })
    }

    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<Appended, JournalError> {
        let begun = Instant::now();
        let stored = self.publish(outgoing.subject.clone(), outgoing.message()).await;
        measured::published(StreamName::of_subject(&outgoing.subject), begun.elapsed(), &stored, Some(&outgoing.trace));
        stored.map(Appended::from)
    }

    /// Publishes a message and waits for the acknowledgement. If there is none, the error names the cause where it is known.
    pub(crate) async fn publish(&self, subject: String, message: PublishMessage) -> Result<PublishAck, JournalError> {
        let stream = StreamName::of_subject(&subject);
        let sent = self.context().send_publish(subject, message).await;
        outcome(self.health(), stream, confirmed(sent).await).await
    }
}

async fn outcome<T>(
    health: &Health,
    stream: Option<StreamName>,
    stored: Result<T, JournalError>,
) -> Result<T, JournalError> {
    match stored {
        Ok(stored) => {
            health.acknowledged(stream);
            Ok(stored)
        }
        Err(error) => {
            let error = health.explain(stream, error).await;
            measured::not_stored(&error);
            Err(error)
        }
    }
}

/// A message in flight to the broker. Callers have to read its answer soon, because unread answers count against the
/// bound of appends in flight.
#[derive(Debug)]
pub struct Submitted {
    in_flight: InFlight,
    health: Health,
    stream: Option<StreamName>,
    begun: Instant,
}

#[derive(Debug)]
enum InFlight {
    Sent(Result<PublishAckFuture, PublishError>),
    Batched(oneshot::Receiver<Result<Appended, JournalError>>),
}

impl Submitted {
    /// Waits until the broker has stored the message.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time, [`JournalError::CannotStore`] if
    /// the cause is known.
    pub async fn stored(self) -> Result<Appended, JournalError> {
        let stored = match self.in_flight {
            InFlight::Sent(sent) => confirmed(sent).await.map(Appended::from),
            InFlight::Batched(answer) => answer.await.map_err(|_| stopped())?,
        };
        let took = self.begun.elapsed();
        let stored = outcome(&self.health, self.stream, stored).await;
        measured::published(self.stream, took, &stored, None);
        stored
    }
}

fn delivery(fact: &DeliveryFact, trace: &TraceContext) -> Outgoing {
    let id = Some(fact.message_id());
    Outgoing { subject: subjects::delivery(fact), id, trace: trace.clone(), body: fact.encode() }
}
