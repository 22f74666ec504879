//! The states that the notifier stores: one for each destination and each interface.
//!
//! A state is the last message of its subject on POSITIONS. Each change is written, and the write fails if another
//! process has written since. An unreadable state is quarantined, and the notifier starts with an empty one.

use std::collections::HashMap;

use async_nats::jetstream::{
    Message,
    consumer::{AckPolicy, PullConsumer, pull},
    message::PublishMessage,
    stream::RawMessageErrorKind,
};
use domain::{
    AccountId, DeliveryFact, DestinationId, InterfaceId,
    notice::{DestinationState, InterfaceState},
};
use events::{Record, RecordError};

use crate::{
    clock::ANSWER_DEADLINE,
    connection::broker_info,
    consume::range,
    consumers::NOTIFIER_LEASE,
    error::JournalError,
    handles::{Deliveries, NotifierState},
    streams::StreamName,
    subjects,
};

const OPERATION: &str = "use the state of the notifier";
/// How many states one pull requests.
const MAX_FETCH: usize = 500;

impl NotifierState<'_> {
    /// The state of every destination, with the version that the next write has to name.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn destinations(self) -> Result<HashMap<DestinationId, (DestinationState, u64)>, JournalError> {
        let stored = self.read::<DestinationState>(subjects::destination_state("*")).await?.into_iter();
        Ok(stored.map(|(state, version)| (state.destination.clone(), (state, version))).collect())
    }

    /// The state of every interface whose new leads are mailed; versions as in [`NotifierState::destinations`].
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn interfaces(self) -> Result<HashMap<(AccountId, InterfaceId), (InterfaceState, u64)>, JournalError> {
        let stored = self.read::<InterfaceState>(subjects::interface_state("*", "*")).await?.into_iter();
        let named = stored.map(|(state, version)| ((state.account.clone(), state.interface.clone()), (state, version)));
        Ok(named.collect())
    }

    /// Removes the state of a deleted destination. Only the leader of the watcher may call this.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn remove_destination(self, destination: &DestinationId) -> Result<(), JournalError> {
        self.remove(&subjects::destination_state(destination.as_str())).await
    }

    /// Removes the state of a deleted interface. Only the leader of the lead watcher may call this.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn remove_interface(self, account: &AccountId, interface: &InterfaceId) -> Result<(), JournalError> {
        self.remove(&subjects::interface_state(account.as_str(), interface.as_str())).await
    }

    async fn remove(self, subject: &str) -> Result<(), JournalError> {
        let on_broker = broker_info::stream(self.journal.context(), StreamName::Positions, OPERATION).await?;
        let purged = on_broker.purge().filter(subject).await;
        purged.map(drop).map_err(|e| JournalError::unavailable(OPERATION, e))
    }

    async fn read<T: Record>(self, filter_subject: String) -> Result<Vec<(T, u64)>, JournalError> {
        let unavailable = |e: async_nats::Error| JournalError::unavailable(OPERATION, e);
        let config = pull::Config {
            filter_subject,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: ANSWER_DEADLINE,
            ..pull::Config::default()
        };
        let stream = StreamName::Positions.as_str();
        let consumer: PullConsumer = self
            .journal
            .context()
            .create_consumer_on_stream(config, stream)
            .await
            .map_err(|e| unavailable(e.into()))?;
        let mut stored = vec![];
        loop {
            let batch = range::answered(range::fetch(&consumer, MAX_FETCH)).await?;
            if batch.is_empty() {
                return Ok(stored);
            }
            for message in batch {
                let sequence = message.info().map_err(unavailable)?.stream_sequence;
                match T::decode(message.payload.clone()) {
                    Ok(value) => stored.push((value, sequence)),
                    Err(error) => self.quarantine(&message, sequence, &error).await?,
                }
            }
        }
    }

    async fn quarantine(self, message: &Message, sequence: u64, error: &RecordError) -> Result<(), JournalError> {
        let stream = StreamName::Positions;
        self.journal.quarantine().add(stream, NOTIFIER_LEASE, sequence, message.payload.clone(), error).await?;
        self.remove(&message.subject).await
    }

    /// Stores the state of a destination in place of `version` (0 if there is none); returns the new version.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another process has written meanwhile; otherwise when the broker does not
    /// acknowledge.
    pub async fn store_destination(self, state: &DestinationState, version: u64) -> Result<u64, JournalError> {
        self.store(subjects::destination_state(state.destination.as_str()), state, version).await
    }

    /// Stores the state of an interface; as [`NotifierState::store_destination`].
    ///
    /// # Errors
    /// As [`NotifierState::store_destination`].
    pub async fn store_interface(self, state: &InterfaceState, version: u64) -> Result<u64, JournalError> {
        self.store(subjects::interface_state(state.account.as_str(), state.interface.as_str()), state, version).await
    }

    async fn store(self, subject: String, value: &impl Record, version: u64) -> Result<u64, JournalError> {
        let message = PublishMessage::build().payload(value.encode()).expected_last_subject_sequence(version);
        Ok(self.journal.publish(subject, message).await?.sequence)
    }
}

impl Deliveries<'_> {
    /// The fact at a sequence of DELIVERIES; `None` if it is gone or unreadable, which a retry does not change.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn get(self, sequence: u64) -> Result<Option<DeliveryFact>, JournalError> {
        let (operation, stream) = ("read a fact about a delivery", StreamName::Deliveries);
        let on_broker = broker_info::stream(self.journal.context(), stream, operation).await?;
        let message = match on_broker.get_raw_message(sequence).await {
            Ok(message) => message,
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => return Ok(None),
            Err(error) => return Err(JournalError::unavailable(operation, error)),
        };
        match DeliveryFact::decode(message.payload.clone()) {
            Ok(fact) => Ok(Some(fact)),
            Err(error) => {
                self.journal.quarantine().add(stream, NOTIFIER_LEASE, sequence, message.payload, &error).await?;
                Ok(None)
            }
        }
    }
}
