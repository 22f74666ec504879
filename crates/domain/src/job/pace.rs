//! How fast a job goes: evenly, so that a receiver who has just come back is not run over.

use std::{num::NonZeroU32, time::Duration};

/// So many a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// The fastest.
    pub const FASTEST: u32 = 1_000;
    /// What is used unless somebody says otherwise: a thousand deliveries in under a minute, and no receiver suffers.
    pub const USUAL: Self = Self(NonZeroU32::new(20).expect("20 is not 0"));

    /// So many a second, 1 to [`Pace::FASTEST`].
    pub fn per_second(number: u32) -> Option<Self> {
        NonZeroU32::new(number).filter(|number| number.get() <= Self::FASTEST).map(Self)
    }

    /// How many a second.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// From one to the next.
    pub fn interval(self) -> Duration {
        Duration::from_secs(1) / self.0.get()
    }
}

/// Spreads what is done evenly: after a pause nothing is made up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    interval: Duration,
    next: Duration,
}

impl Spread {
    /// How far turns may run ahead of their even spread; timers are no more exact.
    const SLACK: Duration = Duration::from_millis(10);

    /// The first may go at once.
    pub fn new(pace: Pace) -> Self {
        Self { interval: pace.interval(), next: Duration::ZERO }
    }

    /// Takes the next turn; when it is. Times are those of one clock that only goes forward, counted from anywhere; one that lies
    /// behind is to be taken at once.
    pub fn turn(&mut self, now: Duration) -> Duration {
        let turn = self.next.max(now.saturating_sub(Self::SLACK));
        self.next = turn.saturating_add(self.interval);
        turn
    }
}
