//! Known events: which events were stored before, however long ago.
//!
//! The broker only recognises a repeated message id within its deduplication window. Only the read model knows older
//! events, so ingest sends a request over the broker, and any query process answers it. Without a query process the
//! broker reports that at once.

use std::time::Duration;

use async_nats::{Client, Request, Subject, Subscriber, client::RequestErrorKind};
use domain::{AccountId, EventId, LeadId};
use events::{
    Record as _,
    known_events::{KnownEventsAnswer, KnownEventsQuestion},
};
use futures::StreamExt as _;
use runtime::ErrorChain as _;

use crate::{Journal, JournalError};

/// The subject of the requests; no stream stores it.
const SUBJECT: &str = "leadline.known-events";
/// One process of the group answers each request.
const QUEUE_GROUP: &str = "query";
/// How long an answer may take. A publisher waits for it, so it is far below the time that publishers wait for the
/// broker.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const OPERATION: &str = "ask query for known events";

impl Journal {
    /// The leads of those events that the read model has, in the order of `events`; all `None` without a query process.
    ///
    /// # Errors
    /// When query does not answer in time, or cannot read its database.
    pub async fn known_events(&self, events: Vec<(AccountId, EventId)>) -> Result<Vec<Option<LeadId>>, JournalError> {
        let count = events.len();
        let request = Request::new().payload(KnownEventsQuestion(events).encode()).timeout(Some(ANSWER_TIMEOUT));
        let answer = match self.context().client().send_request(SUBJECT, request).await {
            Ok(answer) => answer.payload,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => return Ok(vec![None; count]),
            Err(error) => return Err(JournalError::unavailable(OPERATION, error)),
        };
        let leads = KnownEventsAnswer::decode(answer).map_err(|error| JournalError::unavailable(OPERATION, error))?.0;
        if leads.len() != count {
            return Err(JournalError::unavailable(OPERATION, "the read model of query did not answer"));
        }
        Ok(leads)
    }

    /// Subscribes to the requests, so that this process answers some of them.
    ///
    /// # Errors
    /// When the connection to the broker is closed.
    pub async fn questions_about_events(&self) -> Result<EventQuestions, JournalError> {
        let client = self.context().client();
        let subscriber = client.queue_subscribe(SUBJECT, QUEUE_GROUP.to_owned()).await;
        let subscriber = subscriber.map_err(|error| JournalError::unavailable(OPERATION, error))?;
        Ok(EventQuestions { client, subscriber })
    }
}

/// The requests for known events.
#[derive(Debug)]
pub struct EventQuestions {
    client: Client,
    subscriber: Subscriber,
}

impl EventQuestions {
    /// The next request; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<EventQuestion> {
        loop {
            let message = self.subscriber.next().await?;
            let Some(reply) = message.reply else { continue };
            match KnownEventsQuestion::decode(message.payload) {
                Ok(question) => return Some(EventQuestion { events: question.0, client: self.client.clone(), reply }),
                Err(error) => tracing::warn!(error = error.chain(), "cannot read a question about known events"),
            }
        }
    }
}

/// A request for known events.
#[derive(Debug)]
pub struct EventQuestion {
    pub events: Vec<(AccountId, EventId)>,
    client: Client,
    reply: Subject,
}

impl EventQuestion {
    /// Answers with the lead of each event, in their order. An empty answer means that the read model is unavailable.
    pub async fn answer(self, leads: Vec<Option<LeadId>>) {
        if let Err(error) = self.client.publish(self.reply, KnownEventsAnswer(leads).encode()).await {
            tracing::debug!(error = error.chain(), "cannot answer a question about known events");
        }
    }
}
