//! Which master key the installation has. Its fingerprint is recorded once, by the first process that needs the key, on the
//! condition that no other one has recorded another.

use async_nats::jetstream::{consumer::DeliverPolicy, message::PublishMessage};
use domain::{Registry, RegistryFact};
use runtime::ErrorChain as _;
use wire::{InstallationKey, Record as _};

use crate::{
    Journal, JournalError, Logged as _, StreamName, connection::broker_info, publish::append::confirmed, subjects,
};

/// The recorded fingerprint of the installation's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedKey {
    /// The fingerprint; `None` if none is recorded, or what is recorded cannot be read.
    pub fingerprint: Option<String>,
    /// The sequence of its message, which the next one has to name; 0 if there is none.
    pub version: u64,
}

impl Journal {
    /// Which master key the installation has, as far as that is recorded.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn installation_key(&self) -> Result<RecordedKey, JournalError> {
        let asked = "tell which master key the installation has";
        let last =
            broker_info::last_on(self.context(), StreamName::Positions, subjects::INSTALLATION_KEY, asked).await?;
        let Some(message) = last else { return Ok(RecordedKey { fingerprint: None, version: 0 }) };
        let recorded = InstallationKey::decode(message.payload.clone());
        if let Err(error) = &recorded {
            tracing::error!(error = error.chain(), "cannot read the recorded fingerprint of the master key");
        }
        Ok(RecordedKey { fingerprint: recorded.ok().map(|key| key.fingerprint), version: message.sequence })
    }

    /// Records which master key the installation has, in place of what `before` says.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another process recorded one meanwhile; else when the broker does not acknowledge it.
    pub async fn record_installation_key(&self, fingerprint: String, before: &RecordedKey) -> Result<(), JournalError> {
        let message = PublishMessage::build()
            .payload(InstallationKey { fingerprint }.encode())
            .expected_last_subject_sequence(before.version);
        confirmed(self.context().send_publish(subjects::INSTALLATION_KEY, message).await).await.map(drop)
    }

    /// The configuration that is stored by now, read once and not followed.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn registry_now(&self) -> Result<Registry, JournalError> {
        let mut registry = Registry::default();
        let all = (RegistryFact::STREAM, subjects::ANYTHING.to_owned(), DeliverPolicy::All);
        self.each_message(all.0, all.1, all.2, |message| {
            let (Ok(info), Ok(fact)) = (message.info(), RegistryFact::decode(message.payload.clone())) else { return };
            registry.apply(info.stream_sequence, &fact);
        })
        .await?;
        Ok(registry)
    }
}
