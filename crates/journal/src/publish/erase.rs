//! Anonymisation: its facts, and the erasure of messages.
//!
//! The broker removes a message and overwrites its bytes, unless the request has `no_erase`, which the client library
//! never sets. To do so, it rewrites a file of the stream, which takes about 12 ms. With replicas, each server does
//! this. A server's Raft log keeps a copy of recent messages until the log is compacted.

use async_nats::jetstream::{
    ErrorCode,
    stream::{DeleteMessageErrorKind, RawMessageErrorKind},
};
use domain::AnonymisationFact;
use events::Record as _;
use runtime::trace::TraceContext;

use crate::{
    connection::{broker_info, connect::Journal},
    error::JournalError,
    handles::{Anonymised, Facts},
    headers,
    publish::message::{Appended, Outgoing},
    streams::{StreamFact, StreamName},
    subjects,
};

const ERASE: &str = "erase a message";
const READ: &str = "read a message";

impl Anonymised<'_> {
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn append(self, fact: &AnonymisationFact, trace: &TraceContext) -> Result<Appended, JournalError> {
        let (subject, id) = (subjects::anonymisation(fact), Some(fact.message_id()));
        self.journal.send(&Outgoing { subject, id, trace: trace.clone(), body: fact.encode() }).await
    }
}

impl<T: StreamFact> Facts<'_, T> {
    /// The fact at a sequence of its stream, as the leader of the stream knows it, with its trace; `None` if it is gone
    /// or unreadable.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn get(self, sequence: u64) -> Result<Option<(T, TraceContext)>, JournalError> {
        let stream = broker_info::stream(self.journal.context(), T::STREAM, READ).await?;
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
            Err(error) => return Err(JournalError::unavailable(READ, error)),
        };
        let trace = headers::carried_by(Some(&message.headers));
        Ok(T::decode(message.payload).ok().map(|fact| (fact, trace)))
    }

    /// Erases a message from the files of the broker. It is not an error if the message is gone.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn erase(self, sequence: u64) -> Result<(), JournalError> {
        self.journal.erase_from(T::STREAM, sequence).await
    }
}

impl Journal {
    pub(crate) async fn erase_from(&self, stream: StreamName, sequence: u64) -> Result<(), JournalError> {
        let stream = broker_info::stream(self.context(), stream, ERASE).await?;
        match stream.delete_message(sequence).await {
            Err(error) if !is_gone(&error.kind()) => Err(JournalError::unavailable(ERASE, error)),
            _ => Ok(()),
        }
    }
}

fn is_gone(kind: &DeleteMessageErrorKind) -> bool {
    matches!(kind, DeleteMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::SEQUENCE_NOT_FOUND)
}
