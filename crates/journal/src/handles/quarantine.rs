//! The quarantine: its latest message, and the erasure of messages about anonymised leads. A copy on POISON is erased
//! with its original. The lead of an unreadable message is guessed from its bytes. If a copy is erased by mistake, only
//! a chance to diagnose the message is lost.

use async_nats::{
    HeaderMap,
    jetstream::{Message, consumer::DeliverPolicy},
};
use domain::{AccountId, DeliveryFact, LeadEvent, LeadId};

use crate::{
    connection::broker_info,
    error::JournalError,
    handles::Quarantine,
    streams::{StreamFact as _, StreamName},
    subjects,
};

const OPERATION: &str = "read the quarantine";
/// The headers of a copy: why it was unreadable, for which reader, and its sequence in its own stream.
const REASON: &str = "Leadline-Reason";
const READER: &str = "Leadline-Reader";
const SEQUENCE: &str = "Leadline-Sequence";
/// The longest reason that is shown, in characters.
const MAX_REASON: usize = 300;

/// An unreadable message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// The stream and the sequence in it that the message had, such as `LEADS 17`.
    pub original: String,
    /// The reader that could not read it.
    pub reader: String,
    pub reason: String,
}

/// A copy on POISON to erase.
struct Found {
    sequence: u64,
    /// The message that was copied; `None` if it must stay.
    original: Option<(StreamName, u64)>,
}

impl Quarantine<'_> {
    /// The message that was quarantined last; `None` if the quarantine is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn latest(self) -> Result<Option<Quarantined>, JournalError> {
        let last =
            broker_info::last_on(self.journal.context(), StreamName::Poison, subjects::ANYTHING, OPERATION).await?;
        Ok(last.map(|copy| quarantined(&copy.subject, &copy.headers)))
    }

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

/// The headers of a copy.
pub(crate) fn headers(reader: &str, sequence: u64, reason: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(REASON, reason.replace(['\r', '\n'], " "));
    headers.insert(READER, reader);
    headers.insert(SEQUENCE, sequence.to_string());
    headers
}

fn quarantined(subject: &str, headers: &HeaderMap) -> Quarantined {
    let text = |name: &str| headers.get(name).map(|value| value.as_str()).unwrap_or_default();
    let original = subject.strip_prefix("poison.").unwrap_or(subject).replace('.', " ");
    let reason = text(REASON).chars().take(MAX_REASON).collect();
    Quarantined { original, reader: text(READER).to_owned(), reason }
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
    use super::{Quarantined, headers, names, quarantined};

    #[test]
    fn a_copy_says_where_it_came_from_and_why_it_is_unreadable() {
        let headers = headers("router", 17, "not a LeadEvent:\ninvalid wire type");
        let (original, reader) = ("LEADS 17".to_owned(), "router".to_owned());
        let reason = "not a LeadEvent: invalid wire type".to_owned();
        assert_eq!(quarantined("poison.LEADS.17", &headers), Quarantined { original, reader, reason });
        // A copy that another program stored.
        assert_eq!(quarantined("poison.X", &Default::default()).original, "X");
    }

    #[test]
    fn an_id_is_found_by_its_length_or_as_a_word() {
        assert!(names(b"\x0a\x06lead-a", "lead-a"));
        assert!(names(b"\x0a\x06lead-ax", "lead-a"), "protobuf has no separator after a string");
        assert!(names(br#"{"lead_id":"lead-a"}"#, "lead-a") && names(b"lead-a", "lead-a"));
        assert!(!names(b"lead-ab", "lead-a") && !names(b"my-lead-a", "lead-a") && !names(b"", "lead-a"));
    }
}
