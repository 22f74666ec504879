//! Used log-in links. The first process that stores the id of a link uses it.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;

use crate::{error::JournalError, handles::Positions, subjects};

impl Positions<'_> {
    /// Uses the link with this id, which is subject-safe. Returns `false` if it was used before. The broker forgets the
    /// id after `ttl`.
    ///
    /// # Errors
    /// When the broker does not acknowledge; the link may or may not be used.
    pub async fn use_link(self, id: &str, ttl: Duration) -> Result<bool, JournalError> {
        let message = PublishMessage::build().expected_last_subject_sequence(0).ttl(ttl);
        match self.journal.publish(subjects::used_link(id), message).await {
            Ok(_) => Ok(true),
            Err(JournalError::LostRace) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
