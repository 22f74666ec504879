//! The rate of a job. The work is spread evenly, so that a receiver that has just recovered is not overloaded.

use std::{num::NonZeroU32, time::Duration};

/// A rate, per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pace(NonZeroU32);

impl Pace {
    /// The maximum rate.
    pub const FASTEST: u32 = 1_000;
    /// The default rate: a thousand deliveries in under a minute, which does not overload a receiver.
    pub const DEFAULT: Self = Self(NonZeroU32::new(20).expect("20 is not 0"));

    /// A rate from 1 to [`Pace::FASTEST`] per second; `None` if the number is out of range.
    pub fn per_second(number: u32) -> Option<Self> {
        NonZeroU32::new(number).filter(|number| number.get() <= Self::FASTEST).map(Self)
    }

    /// The rate per second.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// The time between the starts of two items of work.
    pub fn interval(self) -> Duration {
        Duration::from_secs(1) / self.0.get()
    }
}

/// Spreads the starts of work evenly. After a pause, it does not make up for the missed starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    interval: Duration,
    next: Duration,
}

impl Spread {
    /// If an item starts late, the following items make up for at most this delay. Timers are not more precise than
    /// this.
    const SLACK: Duration = Duration::from_millis(10);

    /// A spread whose first item starts at once.
    pub fn new(pace: Pace) -> Self {
        Self { interval: pace.interval(), next: Duration::ZERO }
    }

    /// Returns when the next item may start, as a time of the same monotonic clock as `now`. If this time is in the
    /// past, the item may start at once.
    pub fn turn(&mut self, now: Duration) -> Duration {
        let start = self.next.max(now.saturating_sub(Self::SLACK));
        self.next = start.saturating_add(self.interval);
        start
    }
}
