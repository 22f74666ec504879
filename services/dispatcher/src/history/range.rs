//! The part of a destination's log that this process has read. Messages that may be redeliveries arrive together, so
//! each of them causes a read of only the facts since the previous read.

use std::time::Duration;

use jiff::Timestamp;
use journal::Since;
use tokio::time::Instant;

/// How long a read range may be used. The deliveries that were found are remembered for longer.
pub(crate) const HOLDS_FOR: Duration = Duration::from_secs(300);

/// The part of a destination's log that was read, in one or more reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadRange {
    /// The first time of the range, by the clock of the broker.
    from: Timestamp,
    /// When the first read began.
    first_began: Instant,
    /// When the last read began.
    began: Instant,
    /// The last sequence that was read.
    until: u64,
}

impl ReadRange {
    /// Where to start reading the facts between `from` and `as_of`; `None` if they are all known.
    pub(crate) fn missing(known: Option<Self>, from: Timestamp, as_of: Instant) -> Option<Since> {
        let Some(known) = known.filter(|known| known.from <= from && known.first_began.elapsed() < HOLDS_FOR) else {
            return Some(Since::Time(from));
        };
        if known.began >= as_of {
            return None;
        }
        // Chooses the read that covers the shorter time.
        let age = Duration::try_from(Timestamp::now().duration_since(from)).unwrap_or_default();
        Some(if known.began.elapsed() < age { Since::Sequence(known.until) } else { Since::Time(from) })
    }

    /// The range after a read of the [`missing`](Self::missing) part, which began at `began`.
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
    async fn only_unknown_facts_are_read() {
        let second = Duration::from_secs(1);
        let (now, old) = (Timestamp::now(), Timestamp::now() - second * 60);
        let (at_once, missing) = (Instant::now(), ReadRange::missing);
        assert_eq!(missing(None, old, at_once), Some(Since::Time(old)));
        let known = Some(ReadRange::extended(None, Since::Time(old), old, at_once, 7));
        assert_eq!(missing(known, old, at_once), None);
        assert_eq!(missing(known, old - second, at_once), Some(Since::Time(old - second)), "not read yet");
        tokio::time::advance(second).await;
        let later = Instant::now();
        assert_eq!(missing(known, old, later), Some(Since::Sequence(7)));
        assert_eq!(missing(known, now, later), Some(Since::Time(now)), "this read is shorter");
        let known = Some(ReadRange::extended(known, Since::Sequence(7), old, later, 9));
        assert_eq!(missing(known, old, later), None);
        tokio::time::advance(HOLDS_FOR - second).await;
        assert_eq!(missing(known, old, later), Some(Since::Time(old)), "the first findings may be forgotten");
    }
}
