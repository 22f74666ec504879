//! Erases unreadable messages: the copies on POISON and their originals. Their leads are guessed from the bytes. If a
//! copy is erased by mistake, only a chance to diagnose the message is lost.

use async_nats::jetstream::{Message, consumer::DeliverPolicy};
use domain::{AccountId, DeliveryFact, LeadEvent, LeadId};

use crate::{
    error::JournalError,
    handles::Quarantine,
    streams::{StreamFact as _, StreamName},
    subjects,
};

/// A copy on POISON to erase.
struct Found {
    sequence: u64,
    /// The message that was copied; `None` if it must stay.
    original: Option<(StreamName, u64)>,
}

impl Quarantine<'_> {
    /// Erases the copies that seem to be about one of these leads, with their originals. Returns the number of copies.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn erase(self, leads: &[(AccountId, LeadId)]) -> Result<usize, JournalError> {
        if leads.is_empty() || self.journal.stream(StreamName::Poison).last_sequence().await? == 0 {
            return Ok(0);
        }
        let mut found = vec![];
        let all = subjects::ANYTHING.to_owned();
        self.journal
            .each_message(StreamName::Poison, all, DeliverPolicy::All, |message| {
                let about = |(account, lead): &(AccountId, LeadId)| {
                    names(&message.payload, lead.as_str()) && names(&message.payload, account.as_str())
                };
                if leads.iter().any(about) {
                    found.extend(copy(&message));
                }
            })
            .await?;
        for copy in &found {
            if let Some((stream, sequence)) = copy.original {
                self.journal.erase_from(stream, sequence).await?;
            }
            self.journal.erase_from(StreamName::Poison, copy.sequence).await?;
        }
        Ok(found.len())
    }
}

fn copy(message: &Message) -> Option<Found> {
    let sequence = message.info().ok()?.stream_sequence;
    // Originals on other streams are pending work, which is deleted anyway, or configuration, which concerns no lead.
    let (stream, sequence_there) = message.subject.strip_prefix("poison.")?.split_once('.')?;
    let kept = [LeadEvent::STREAM, DeliveryFact::STREAM].into_iter().find(|kept| kept.as_str() == stream);
    Some(Found { sequence, original: kept.zip(sequence_there.parse().ok()) })
}

/// Whether the bytes contain an id: in protobuf after its length, or as a word.
fn names(bytes: &[u8], id: &str) -> bool {
    let is_part = |byte: Option<&u8>| byte.is_some_and(|&b| b.is_ascii_alphanumeric() || b"-_.:@".contains(&b));
    bytes.windows(id.len()).enumerate().any(|(start, window)| {
        if window != id.as_bytes() {
            return false;
        }
        let before = start.checked_sub(1).and_then(|index| bytes.get(index));
        before.is_some_and(|&length| usize::from(length) == id.len())
            || !is_part(before) && !is_part(bytes.get(start + id.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn an_id_is_found_by_its_length_or_as_a_word() {
        assert!(names(b"\x0a\x06lead-a", "lead-a"));
        assert!(names(b"\x0a\x06lead-ax", "lead-a"), "protobuf has no separator after a string");
        assert!(names(br#"{"lead_id":"lead-a"}"#, "lead-a") && names(b"lead-a", "lead-a"));
        assert!(!names(b"lead-ab", "lead-a") && !names(b"my-lead-a", "lead-a") && !names(b"", "lead-a"));
    }
}
