//! Reading in order, one process at a time: who reads, and how far it has come.
//!
//! The place of a reader is the last message of its subject on POSITIONS. Whoever reads writes it anew at least every
//! [`RENEWED_EVERY`], each time on the condition that nobody else has written since. A place that has not been written
//! for [`SILENCE`] is free. Clocks of different machines are never compared.
//!
//! Two processes may both believe for a moment that the place is theirs. So what is done at a place has to be harmless
//! when it is done twice, in the same order.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use runtime::ErrorChain as _;
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Position, Record as _};

use crate::{Journal, JournalError, StreamName, connection::broker_info, subjects};

/// Who reads LEADS in order, for the destinations that keep the order of each lead's events.
pub const READER_IN_ORDER: &str = "sequencer";
/// Who reads DELIVERIES in order, for what people have to be told.
pub const READER_OF_NOTICES: &str = "notifier";
/// Who reads LEADS in order, for the people who want to hear of new leads.
pub const READER_OF_LEADS: &str = "lead-notifier";
/// How often a reader has to write its place, even if it has not moved.
const RENEWED_EVERY: Duration = Duration::from_secs(1);
/// How long what comes quickly may be gathered before it is dealt with.
const GATHERED_FOR: Duration = Duration::from_millis(100);
/// After which silence another process takes the place.
const SILENCE: Duration = Duration::from_secs(4);
/// The pause after the broker did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The place of a reader, as long as nobody else takes it.
#[derive(Debug)]
pub struct Place {
    journal: Journal,
    reader: &'static str,
    version: u64,
    sequence: u64,
    unsure_until: u64,
    written: Instant,
}

/// What the broker holds of a place.
struct Stored {
    version: u64,
    /// None: nobody can read it. The place is free then, and what was dealt with has to be looked up.
    position: Option<Position>,
}

impl Journal {
    /// Waits until the place of a reader is free, and takes it. None: the drain has begun.
    pub async fn take_place(&self, reader: &'static str) -> Option<Place> {
        let mut seen = None;
        // Whoever has just left the place because of the drain must not take it again.
        while !self.drain().is_stopping() {
            let wait = match self.try_place(reader, seen).await {
                Ok(Attempt::Taken(place)) => return Some(place),
                Ok(Attempt::Occupied(version)) => {
                    seen = Some(version);
                    SILENCE
                }
                Err(error) => {
                    tracing::debug!(error = error.chain(), reader, "cannot ask for the place of a reader now");
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.drain().stopping() => {}
            }
        }
        None
    }

    /// `silent_since`: the version of the place that was seen a [`SILENCE`] ago.
    async fn try_place(&self, reader: &'static str, silent_since: Option<u64>) -> Result<Attempt, JournalError> {
        let nobody = Position { reader: None, sequence: 0 };
        let stored = self.stored_place(reader).await?.unwrap_or(Stored { version: 0, position: Some(nobody) });
        let (version, unsure_until) = (
            stored.version,
            match stored.position {
                Some(_) => 0,
                None => self.last_sequence(StreamName::Leads).await?,
            },
        );
        let position = stored.position.unwrap_or(nobody);
        let occupied = position.reader.is_some_and(|other| other != self.process());
        if occupied && silent_since != Some(version) {
            return Ok(Attempt::Occupied(version));
        }
        let (journal, sequence) = (self.clone(), position.sequence);
        let mut place = Place { journal, reader, version, sequence, unsure_until, written: Instant::now() };
        match place.write(sequence, Some(self.process())).await {
            Ok(()) => Ok(Attempt::Taken(place)),
            Err(JournalError::LostRace) => Ok(Attempt::Occupied(version)),
            Err(error) => Err(error),
        }
    }

    /// How far a reader has come; 0: it has not begun.
    pub(crate) async fn read_until(&self, reader: &str) -> Result<u64, JournalError> {
        let stored = self.stored_place(reader).await?;
        Ok(stored.and_then(|stored| stored.position).map_or(0, |position| position.sequence))
    }

    async fn stored_place(&self, reader: &str) -> Result<Option<Stored>, JournalError> {
        let asked = "tell how far a reader has come";
        let last =
            broker_info::last_on(self.context(), StreamName::Positions, &subjects::position(reader), asked).await?;
        let Some(message) = last else { return Ok(None) };
        let (version, payload) = (message.sequence, message.payload);
        let position = Position::decode(payload.clone());
        if let Err(error) = &position {
            self.set_aside(StreamName::Positions, reader, version, payload, error).await?;
        }
        Ok(Some(Stored { version, position: position.ok() }))
    }
}

enum Attempt {
    Taken(Place),
    /// With its version.
    Occupied(u64),
}

impl Place {
    /// The last sequence that is dealt with.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Up to here it is not known what was dealt with: nobody could read the place.
    pub const fn unsure_until(&self) -> u64 {
        self.unsure_until
    }

    /// When the place has to be written again at the latest.
    pub fn renew_at(&self) -> Instant {
        self.written + RENEWED_EVERY
    }

    /// Until when a reader who is in no hurry gathers what comes quickly, so that the place is written a few times a
    /// second, however much there is to read.
    pub fn gather_until(&self) -> Instant {
        self.written + GATHERED_FOR
    }

    /// Everything up to this sequence is dealt with.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another process has taken the place; else when the broker does not acknowledge.
    pub async fn advance(&mut self, sequence: u64) -> Result<(), JournalError> {
        let process = self.journal.process();
        self.write(sequence, Some(process)).await
    }

    /// Lets another process have the place at once.
    ///
    /// # Errors
    /// As [`Place::advance`]; the place is free a few seconds later all the same.
    pub async fn leave(mut self) -> Result<(), JournalError> {
        self.write(self.sequence, None).await
    }

    async fn write(&mut self, sequence: u64, process: Option<Uuid>) -> Result<(), JournalError> {
        let written = Instant::now();
        let message = PublishMessage::build()
            .payload(Position { reader: process, sequence }.encode())
            .expected_last_subject_sequence(self.version);
        let sent = self.journal.context().send_publish(subjects::position(self.reader), message).await;
        self.version = self.journal.confirm(sent).await?.sequence;
        (self.sequence, self.written) = (sequence, written);
        Ok(())
    }
}
