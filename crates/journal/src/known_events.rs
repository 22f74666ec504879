//! Which events were stored before, however long ago: ingest asks, and query answers from the read model.
//!
//! The broker recognises a repeated message id for as long as its deduplication window. What was stored before that is
//! known to the read model alone, so ingest asks for it with a request over the broker. Any query process answers. If
//! there is none, the broker says so at once.

use std::time::Duration;

use async_nats::{Client, Request, Subject, Subscriber, client::RequestErrorKind};
use domain::{AccountId, EventId, LeadId};
use futures::StreamExt as _;
use runtime::ErrorChain as _;
use wire::{
    Record as _,
    known_events::{KnownEventsAnswer, KnownEventsQuestion},
};

use crate::{Journal, JournalError};

/// Where the questions go; no stream stores this subject.
const SUBJECT: &str = "leadline.known-events";
/// Of the query processes one answers each question.
const QUEUE_GROUP: &str = "query";
/// How long an answer may take. A publisher waits for it, so it is far below what publishers wait for the broker.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
const ASKED: &str = "ask query for known events";

impl Journal {
    /// The leads of those events that the read model has, in the order of `events`. Without a query process none is known.
    ///
    /// # Errors
    /// When query does not answer in time, or cannot read its database.
    pub async fn known_events(&self, events: Vec<(AccountId, EventId)>) -> Result<Vec<Option<LeadId>>, JournalError> {
        let count = events.len();
        let request = Request::new().payload(KnownEventsQuestion(events).encode()).timeout(Some(ANSWER_TIMEOUT));
        let answer = match self.context().client().send_request(SUBJECT, request).await {
            Ok(answer) => answer.payload,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => return Ok(vec![None; count]),
            Err(error) => return Err(JournalError::unavailable(ASKED, error)),
        };
        let leads = KnownEventsAnswer::decode(answer).map_err(|error| JournalError::unavailable(ASKED, error))?.0;
        if leads.len() != count {
            return Err(JournalError::unavailable(ASKED, "the read model of query did not answer"));
        }
        Ok(leads)
    }

    /// The questions that this process is to answer, from now on.
    ///
    /// # Errors
    /// When the connection to the broker is closed.
    pub async fn questions_about_events(&self) -> Result<EventQuestions, JournalError> {
        let client = self.context().client();
        let subscriber = client.queue_subscribe(SUBJECT, QUEUE_GROUP.to_owned()).await;
        let subscriber = subscriber.map_err(|error| JournalError::unavailable(ASKED, error))?;
        Ok(EventQuestions { client, subscriber })
    }
}

/// Questions which events are known.
#[derive(Debug)]
pub struct EventQuestions {
    client: Client,
    subscriber: Subscriber,
}

impl EventQuestions {
    /// The next question; `None` once the connection is closed. Safe to cancel.
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

/// A question which events are known.
#[derive(Debug)]
pub struct EventQuestion {
    /// Which events it is about.
    pub events: Vec<(AccountId, EventId)>,
    client: Client,
    reply: Subject,
}

impl EventQuestion {
    /// Answers with the lead of each event, in their order. An empty answer says that the read model cannot be read.
    pub async fn answer(self, leads: Vec<Option<LeadId>>) {
        if let Err(error) = self.client.publish(self.reply, KnownEventsAnswer(leads).encode()).await {
            tracing::debug!(error = error.chain(), "cannot answer a question about known events");
        }
    }
}
