//! The master key of the installation. The first process that needs the key records its fingerprint, on the condition
//! that no other process has recorded one.

use async_nats::jetstream::message::PublishMessage;
use events::{InstallationKey, Record as _};
use runtime::ErrorChain as _;

use crate::{connection::broker_info, error::JournalError, handles::Positions, streams::StreamName, subjects};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// `None` if no fingerprint is recorded, or the record cannot be read.
    pub fingerprint: Option<String>,
    /// The sequence of the record, which the next record has to name; 0 if there is none.
    pub version: u64,
}

impl Positions<'_> {
    /// Reads the recorded fingerprint of the master key.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn installation_key(self) -> Result<RecordedKey, JournalError> {
        let operation = "read the fingerprint of the master key";
        let last =
            broker_info::last_on(self.journal.context(), StreamName::Positions, subjects::INSTALLATION_KEY, operation)
                .await?;
        let Some(message) = last else { return Ok(RecordedKey { fingerprint: None, version: 0 }) };
        let recorded = InstallationKey::decode(message.payload.clone());
        if let Err(error) = &recorded {
            tracing::error!(error = error.chain(), "cannot read the fingerprint of the master key");
        }
        Ok(RecordedKey { fingerprint: recorded.ok().map(|key| key.fingerprint), version: message.sequence })
    }

    /// Records the master key in place of the record `before`.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another process has recorded a key meanwhile; otherwise when the broker does not
    /// acknowledge.
    pub async fn record_installation_key(self, fingerprint: String, before: &RecordedKey) -> Result<(), JournalError> {
        let message = PublishMessage::build()
            .payload(InstallationKey { fingerprint }.encode())
            .expected_last_subject_sequence(before.version);
        self.journal.publish(subjects::INSTALLATION_KEY.to_owned(), message).await.map(drop)
    }
}
