//! The configuration as it is at the broker, for whoever must not act on an older one.
//!
//! A process hears of a change a moment after it was stored, or later when it hangs. But whoever was told that something
//! was made expects it to hold from then on, so a process that acts for such people asks the broker how far the
//! configuration goes, and waits until it knows that much. In order not to ask each time it trusts an answer for
//! [`NEWS_AGE`], and that is how long whoever makes a change keeps its own answer back. Each of the two measures a
//! duration of its own, so their clocks need not agree; but a machine that is suspended does not notice how old its answer
//! is. Whoever finds a change by reading, before it was answered, may be ahead of others by as much.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{Registry, RegistryFact};
use tokio::time::{Instant, sleep, timeout};

use crate::{ANSWER_DEADLINE, JournalError, Logged as _, RegistryView};

/// How long an answer to the question how far the configuration goes may be used.
const NEWS_AGE: Duration = Duration::from_millis(5);

/// For how long nobody asks again after there was no answer: while the broker is away, what comes one after another does
/// not wait for it each time.
const SILENCE: Duration = Duration::from_millis(100);

/// What came of asking.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    last: Mutex<Option<Outcome>>,
    /// Whoever holds this asks.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// How far the registry goes, and when that was asked.
    Told(Instant, u64),
    /// Somebody gave up then.
    Silence(Instant),
}

impl Asked {
    /// How far the configuration went, at least, [`NEWS_AGE`] before this time; none: that was not asked.
    fn before(&self, time: Instant) -> Option<u64> {
        match self.last()? {
            Outcome::Told(at, latest) => (at + NEWS_AGE > time).then_some(latest),
            Outcome::Silence(_) => None,
        }
    }

    fn was_silent(&self) -> bool {
        matches!(self.last(), Some(Outcome::Silence(since)) if since.elapsed() < SILENCE)
    }

    fn last(&self) -> Option<Outcome> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, outcome: Outcome) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// Waits until everything that is stored now is in what [`RegistryView::up_to_date`] gives to anybody: for an answer that
/// says so.
pub async fn settled() {
    sleep(NEWS_AGE).await;
}

/// Why the latest configuration is not known.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// The broker does not say how far it goes.
    #[error("{0}")]
    NotTold(JournalError),
    /// This process does not get there in time.
    #[error("this process is behind")]
    Behind,
    /// It could not be found out a moment ago.
    #[error("it could not be found out a moment ago")]
    Silence,
}

impl RegistryView {
    /// The configuration with every change that was answered before this was called, whichever process made it. Those who
    /// ask at once share one question, so however many ask, the broker hears little of it.
    ///
    /// # Errors
    /// When that cannot be found out within [`ANSWER_DEADLINE`].
    pub async fn up_to_date(&self) -> Result<Arc<Registry>, NewsError> {
        let called = Instant::now();
        let known = self.snapshot();
        if self.asked.before(called).is_some_and(|latest| known.sequence() >= latest) {
            return Ok(known);
        }
        if self.asked.was_silent() {
            return Err(NewsError::Silence);
        }
        let finding_out = async {
            let latest = self.latest_at(called).await.map_err(NewsError::NotTold)?;
            self.at_least(latest, ANSWER_DEADLINE).await.ok_or(NewsError::Behind)
        };
        let found_out = timeout(ANSWER_DEADLINE, finding_out).await.unwrap_or(Err(NewsError::Behind));
        if found_out.is_err() {
            self.asked.note(Outcome::Silence(Instant::now()));
        }
        found_out
    }

    async fn latest_at(&self, time: Instant) -> Result<u64, JournalError> {
        let _turn = self.asked.turn.lock().await;
        if let Some(latest) = self.asked.before(time) {
            return Ok(latest);
        }
        let at = Instant::now();
        let latest = self.journal.last_sequence(RegistryFact::STREAM).await?;
        self.asked.note(Outcome::Told(at, latest));
        Ok(latest)
    }
}
