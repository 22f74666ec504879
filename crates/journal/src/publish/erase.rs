//! Forgetting: facts about it, and messages that are erased.
//!
//! The broker removes a message on request by overwriting its bytes where they lie, unless it is told `no_erase`, which
//! the client library never says. For that it rewrites a file of the stream, which takes it about 12 ms. With replicas
//! each server does so; its Raft log holds a copy of what was published lately until it is compacted.

use async_nats::jetstream::{
    ErrorCode,
    stream::{DeleteMessageErrorKind, RawMessageErrorKind},
};
use domain::AnonymisationFact;
use runtime::trace::TraceContext;
use wire::Record as _;

use crate::{
    Appended, Journal, JournalError, Logged, StreamName, connection::broker_info, headers, publish::append::Outgoing,
    subjects,
};

const ASKED: &str = "erase a message";

impl Journal {
    /// Stores a fact about forgetting.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn append_anonymisation(
        &self,
        fact: &AnonymisationFact,
        trace: &TraceContext,
    ) -> Result<Appended, JournalError> {
        let (subject, id) = (subjects::anonymisation(fact), Some(fact.message_id()));
        self.send(&Outgoing { subject, id, trace: trace.clone(), body: fact.encode() }).await
    }

    /// The fact at a place of its stream, as the leader of the stream knows it, and the trace that it belongs to; none:
    /// it is gone, or cannot be read.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn stored_at<T: Logged>(&self, sequence: u64) -> Result<Option<(T, TraceContext)>, JournalError> {
        let stream = broker_info::stream(self.context(), T::STREAM, ASKED).await?;
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
            Err(error) => return Err(JournalError::unavailable(ASKED, error)),
        };
        let trace = headers::carried_by(Some(&message.headers));
        Ok(T::decode(message.payload).ok().map(|fact| (fact, trace)))
    }

    /// Erases a message, so that its bytes are nowhere in the files of the broker. One that is gone is no error.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn erase<T: Logged>(&self, sequence: u64) -> Result<(), JournalError> {
        self.erase_from(T::STREAM, sequence).await
    }

    pub(crate) async fn erase_from(&self, stream: StreamName, sequence: u64) -> Result<(), JournalError> {
        let stream = broker_info::stream(self.context(), stream, ASKED).await?;
        match stream.delete_message(sequence).await {
            Err(error) if !is_gone(&error.kind()) => Err(JournalError::unavailable(ASKED, error)),
            _ => Ok(()),
        }
    }
}

fn is_gone(kind: &DeleteMessageErrorKind) -> bool {
    matches!(kind, DeleteMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::SEQUENCE_NOT_FOUND)
}
