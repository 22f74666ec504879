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
pub(crate) const NEWS_AGE: Duration = Duration::from_millis(5);

/// For how long nobody asks again after there was no answer: while the broker is away, what comes one after another does
/// not wait for it each time.
const SILENCE: Duration = Duration::from_millis(100);

/// What was asked last.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// When it was asked how far the registry goes, and the answer.
    last: Mutex<Option<(Instant, u64)>>,
    /// When somebody gave up.
    given_up: Mutex<Option<Instant>>,
    /// Whoever holds this asks.
    turn: tokio::sync::Mutex<()>,
}

impl Asked {
    /// How far the configuration went, at least, [`NEWS_AGE`] before this time; none: that was not asked.
    fn before(&self, time: Instant) -> Option<u64> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| *at + NEWS_AGE > time).map(|(_, latest)| latest)
    }

    fn give_up(&self) {
        *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn was_given_up(&self) -> bool {
        let given_up = *self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        given_up.is_some_and(|at| at.elapsed() < SILENCE)
    }
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
    #[error("the broker did not say it a moment ago")]
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
        if self.asked.was_given_up() {
            return Err(NewsError::Silence);
        }
        let finding_out = async {
            let latest = self.latest_at(called).await.map_err(NewsError::NotTold)?;
            self.at_least(latest, ANSWER_DEADLINE).await.ok_or(NewsError::Behind)
        };
        let found_out = timeout(ANSWER_DEADLINE, finding_out).await.unwrap_or(Err(NewsError::Behind));
        if found_out.is_err() {
            self.asked.give_up();
        }
        found_out
    }

    /// Waits until everything that is stored now is in what [`up_to_date`](Self::up_to_date) gives to anybody: for an
    /// answer that says so.
    pub async fn settled(&self) {
        sleep(NEWS_AGE).await;
    }

    async fn latest_at(&self, time: Instant) -> Result<u64, JournalError> {
        let _turn = self.asked.turn.lock().await;
        if let Some(latest) = self.asked.before(time) {
            return Ok(latest);
        }
        let at = Instant::now();
        let latest = self.journal.last_sequence(RegistryFact::STREAM).await?;
        *self.asked.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((at, latest));
        Ok(latest)
    }
}
