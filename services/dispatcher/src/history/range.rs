//! The part of a destination's log that this process has read. Messages that may be redelivered arrive together; each
//! reads only what was recorded since the one before it.

use std::time::Duration;

use jiff::Timestamp;
use journal::Since;
use tokio::time::Instant;

/// For how long what was found is relied on: those who look back remember it for longer.
pub(crate) const HOLDS_FOR: Duration = Duration::from_secs(300);

/// What was read of a destination's facts, at once or piece by piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadRange {
    /// From this time of the broker on.
    from: Timestamp,
    /// When the first piece was asked for.
    first_began: Instant,
    /// When the last piece was asked for.
    began: Instant,
    /// Until this place of the stream.
    until: u64,
}

impl ReadRange {
    /// From where on to look for what was recorded from `from` until `as_of`; none: all of it is known.
    pub(crate) fn missing(known: Option<Self>, from: Timestamp, as_of: Instant) -> Option<Since> {
        let Some(known) = known.filter(|known| known.from <= from && known.first_began.elapsed() < HOLDS_FOR) else {
            return Some(Since::Time(from));
        };
        if known.began >= as_of {
            return None;
        }
        // Whichever is less to read.
        let age = Duration::try_from(Timestamp::now().duration_since(from)).unwrap_or_default();
        Some(if known.began.elapsed() < age { Since::Sequence(known.until) } else { Since::Time(from) })
    }

    /// What is known after it was looked for what was [`missing`](Self::missing), which was asked for at `began`.
    pub(crate) fn extended(known: Option<Self>, since: Since, from: Timestamp, began: Instant, until: u64) -> Self {
        match (since, known) {
            (Since::Sequence(_), Some(known)) => Self { began, until, ..known },
            _ => Self { from, first_began: began, began, until },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_is_not_known_is_looked_for() {
        let second = Duration::from_secs(1);
        let (now, old) = (Timestamp::now(), Timestamp::now() - second * 60);
        let (at_once, missing) = (Instant::now(), ReadRange::missing);
        assert_eq!(missing(None, old, at_once), Some(Since::Time(old)));
        let known = Some(ReadRange::extended(None, Since::Time(old), old, at_once, 7));
        assert_eq!(missing(known, old, at_once), None);
        assert_eq!(missing(known, old - second, at_once), Some(Since::Time(old - second)), "it began later");
        tokio::time::advance(second).await;
        let later = Instant::now();
        assert_eq!(missing(known, old, later), Some(Since::Sequence(7)));
        assert_eq!(missing(known, now, later), Some(Since::Time(now)), "that is less");
        let known = Some(ReadRange::extended(known, Since::Sequence(7), old, later, 9));
        assert_eq!(missing(known, old, later), None);
        tokio::time::advance(HOLDS_FOR - second).await;
        assert_eq!(missing(known, old, later), Some(Since::Time(old)), "what was found first may be forgotten");
    }
}
