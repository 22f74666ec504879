//! Known events: events that were stored before, even long ago.
//!
//! The broker recognises a repeated message id only within its deduplication window. Older events are known to the read
//! model only, so ingest sends a request over the broker, and any query process answers it. A request names some
//! events, or asks for a page of all events. If no query process runs, the broker reports that at once.

use std::{marker::PhantomData, time::Duration};

use async_nats::{Client, Request, Subject, Subscriber, client::RequestErrorKind};
use domain::lead::KnownEvent;
use events::{
    Record,
    known_events::{
        EventKey, KnownEventsAnswer, KnownEventsPage, KnownEventsPageAnswer, KnownEventsPageQuestion,
        KnownEventsQuestion,
    },
};
use futures::StreamExt as _;
use runtime::ErrorChain as _;

use crate::{clock::ANSWER_DEADLINE, error::JournalError, handles::KnownEvents};

/// The subject of the requests about some events; no stream stores them.
const SUBJECT: &str = "leadline.known-events";
/// The subject of the requests for pages.
const PAGES_SUBJECT: &str = "leadline.known-event-pages";
/// One process of the group answers each request.
const QUEUE_GROUP: &str = "query";
/// How long an answer may take. A publisher waits for it, so this is far below the time that publishers wait for the
/// broker.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const OPERATION: &str = "ask query for known events";

impl KnownEvents<'_> {
    /// For each of `events` in their order, the event that was stored before; `None` if there is none. All are `None`
    /// if no query process runs.
    ///
    /// # Errors
    /// When query does not answer in time, or cannot read its database.
    pub async fn ask(self, events: Vec<EventKey>) -> Result<Vec<Option<KnownEvent>>, JournalError> {
        let count = events.len();
        let Some(KnownEventsAnswer(leads)) =
            self.request(SUBJECT, &KnownEventsQuestion(events), ANSWER_TIMEOUT).await?
        else {
            return Ok(vec![None; count]);
        };
        if leads.len() != count {
            return Err(no_read_model());
        }
        Ok(leads)
    }

    /// The events of the read model that follow `after`, or the first ones if it is `None`; `None` if no query process
    /// runs.
    ///
    /// # Errors
    /// When query does not answer in time, cannot read its database, or does not have all anonymised events yet.
    pub async fn ask_for_page(self, after: Option<EventKey>) -> Result<Option<KnownEventsPage>, JournalError> {
        match self.request(PAGES_SUBJECT, &KnownEventsPageQuestion(after), ANSWER_DEADLINE).await? {
            Some(KnownEventsPageAnswer(Some(page))) => Ok(Some(page)),
            Some(KnownEventsPageAnswer(None)) => Err(no_read_model()),
            None => Ok(None),
        }
    }

    /// `None` if no process answers requests on the subject.
    async fn request<A: Record>(
        self,
        subject: &'static str,
        question: &impl Record,
        timeout: Duration,
    ) -> Result<Option<A>, JournalError> {
        let request = Request::new().payload(question.encode()).timeout(Some(timeout));
        match self.journal.context().client().send_request(subject, request).await {
            Ok(answer) => {
                let answer = A::decode(answer.payload);
                answer.map(Some).map_err(|error| JournalError::unavailable(OPERATION, error))
            }
            Err(error) if error.kind() == RequestErrorKind::NoResponders => Ok(None),
            Err(error) => Err(JournalError::unavailable(OPERATION, error)),
        }
    }

    /// Subscribes to the requests about some events, so that this process answers some of them.
    ///
    /// # Errors
    /// When the connection to the broker is closed.
    pub async fn questions(self) -> Result<Requests<KnownEventsQuestion>, JournalError> {
        self.subscribe(SUBJECT).await
    }

    /// Subscribes to the requests for pages of events.
    ///
    /// # Errors
    /// When the connection to the broker is closed.
    pub async fn page_questions(self) -> Result<Requests<KnownEventsPageQuestion>, JournalError> {
        self.subscribe(PAGES_SUBJECT).await
    }

    async fn subscribe<Q>(self, subject: &'static str) -> Result<Requests<Q>, JournalError> {
        let client = self.journal.context().client();
        let subscriber = client.queue_subscribe(subject, QUEUE_GROUP.to_owned()).await;
        let subscriber = subscriber.map_err(|error| JournalError::unavailable(OPERATION, error))?;
        Ok(Requests { client, subscriber, content: PhantomData })
    }
}

fn no_read_model() -> JournalError {
    JournalError::unavailable(OPERATION, "the read model of query did not answer")
}

/// The requests on one subject.
#[derive(Debug)]
pub struct Requests<Q> {
    client: Client,
    subscriber: Subscriber,
    content: PhantomData<Q>,
}

impl<Q: Record> Requests<Q> {
    /// The next request; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<PendingRequest<Q>> {
        loop {
            let message = self.subscriber.next().await?;
            let Some(reply) = message.reply else { continue };
            match Q::decode(message.payload) {
                Ok(content) => return Some(PendingRequest { content, client: self.client.clone(), reply }),
                Err(error) => tracing::warn!(error = error.chain(), "cannot read request for known events"),
            }
        }
    }
}

#[derive(Debug)]
pub struct PendingRequest<Q> {
    pub content: Q,
    client: Client,
    reply: Subject,
}

impl<Q> PendingRequest<Q> {
    pub async fn answer(self, answer: &impl Record) {
        if let Err(error) = self.client.publish(self.reply, answer.encode()).await {
            tracing::debug!(error = error.chain(), "cannot answer request for known events");
        }
    }
}
