//! The breaker of a lane. Too many transport failures in a row stop all requests except probes. After a probe succeeds,
//! the number of requests grows slowly. Before the breaker opens, each failure lowers the number of requests in flight,
//! so that fewer of them time out.
//!
//! The breaker limits the requests in flight. Each call passes the time, counted from any fixed start.

use std::time::Duration;

use crate::outcome::{AttemptOutcome, ErrorKind};

/// The pause before the first probe.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two probes.
pub const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Whether the lane may send requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The concurrency limit of the lane applies. Each transport failure in a row reduces it by a part.
    Closed,
    /// No request may start until this time. Then one probe may start.
    Open { until: Duration, pause: Duration },
    /// At most `width` requests may be in flight. Each success adds one.
    Recovering { width: u32 },
}

/// The breaker of one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    failures: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, failures: 0 }
    }
}

/// Whether the outcome means that the receiver cannot be reached.
pub const fn is_transport_failure(outcome: &AttemptOutcome) -> bool {
    match outcome.error_kind() {
        Some(ErrorKind::Render | ErrorKind::Blocked) | None => false,
        Some(_) => true,
    }
}

impl Breaker {
    /// A breaker that allows one request at first, for a destination that was just enabled. Its lane may have a large
    /// backlog.
    pub const fn recovering() -> Self {
        Self { state: State::Recovering { width: 1 }, failures: 0 }
    }

    /// How many requests may be in flight now, given the concurrency limit of the lane. `threshold` is as in
    /// [`Self::ended`].
    pub fn allows(&self, threshold: u32, concurrency: u32, now: Duration) -> u32 {
        match self.state {
            State::Closed => narrowed(concurrency, self.failures, threshold),
            State::Open { until, .. } => u32::from(now >= until),
            State::Recovering { width } => width.min(concurrency),
        }
    }

    /// When the next probe may start, if the breaker is open.
    pub const fn probe_at(&self) -> Option<Duration> {
        match self.state {
            State::Open { until, .. } => Some(until),
            State::Closed | State::Recovering { .. } => None,
        }
    }

    /// Transport failures in a row.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Records the end of a request. `threshold` transport failures in a row open the breaker; 0 means never.
    pub fn ended(&mut self, transport_failure: bool, threshold: u32, concurrency: u32, now: Duration) {
        if !transport_failure {
            self.failures = 0;
            self.state = match self.state {
                State::Open { .. } => State::Recovering { width: 2.min(concurrency) },
                State::Recovering { width } if width >= concurrency => State::Closed,
                State::Recovering { width } => State::Recovering { width: width.saturating_add(1) },
                State::Closed => State::Closed,
            };
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.state = match self.state {
            // Failures of requests that were in flight when the breaker opened do not extend the pause.
            State::Open { until, .. } if now < until => self.state,
            State::Open { pause, .. } => opened(now, pause.saturating_mul(2)),
            State::Recovering { .. } if threshold > 0 => opened(now, FIRST_PAUSE),
            State::Closed if threshold > 0 && self.failures >= threshold => opened(now, FIRST_PAUSE),
            state => state,
        };
    }
}

/// The number of requests that may be in flight after this many failures in a row. It is at least 1, and the whole
/// width if the breaker never opens.
fn narrowed(width: u32, failures: u32, threshold: u32) -> u32 {
    let lost = width.saturating_mul(failures).checked_div(threshold).unwrap_or(0);
    width.saturating_sub(lost).max(1)
}

fn opened(now: Duration, pause: Duration) -> State {
    let pause = pause.min(MAX_PAUSE);
    State::Open { until: now.saturating_add(pause), pause }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_breaker_opens_after_failures_and_allows_one_probe() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.ended(true, 5, 32, SECOND);
        }
        breaker.ended(false, 5, 32, SECOND);
        for _ in 0..4 {
            breaker.ended(true, 5, 32, SECOND);
        }
        assert_eq!(breaker.allows(5, 32, SECOND), 7, "a success in between resets the count");
        breaker.ended(true, 5, 32, SECOND);
        assert_eq!(breaker.allows(5, 32, SECOND), 0);
        assert_eq!(breaker.probe_at(), Some(2 * SECOND));
        assert_eq!(breaker.allows(5, 32, 2 * SECOND), 1);
    }

    #[test]
    fn failures_narrow_the_lane_until_a_success() {
        let widths = |concurrency: u32, threshold: u32| -> Vec<u32> {
            let mut breaker = Breaker::default();
            let mut widths = vec![];
            for _ in 1..threshold {
                breaker.ended(true, threshold, concurrency, SECOND);
                widths.push(breaker.allows(threshold, concurrency, SECOND));
            }
            breaker.ended(false, threshold, concurrency, SECOND);
            assert_eq!(breaker.allows(threshold, concurrency, SECOND), concurrency);
            widths
        };
        assert_eq!(widths(32, 5), [26, 20, 13, 7]);
        assert_eq!(widths(2, 5), [2, 2, 1, 1], "at least one, to notice a recovery");
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_a_bound() {
        let mut breaker = Breaker::default();
        let mut now = SECOND;
        breaker.ended(true, 1, 32, now);
        let mut pauses = vec![];
        for _ in 0..9 {
            let probe = breaker.probe_at().unwrap();
            pauses.push((probe - now).as_secs());
            now = probe;
            breaker.ended(true, 1, 32, now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn after_a_successful_probe_requests_grow_one_by_one() {
        let mut breaker = Breaker::default();
        breaker.ended(true, 1, 4, SECOND);
        breaker.ended(false, 1, 4, 2 * SECOND);
        let mut widths = vec![];
        for _ in 0..4 {
            widths.push(breaker.allows(1, 4, 2 * SECOND));
            breaker.ended(false, 1, 4, 2 * SECOND);
        }
        assert_eq!(widths, [2, 3, 4, 4]);
        breaker.ended(true, 2, 4, 2 * SECOND);
        assert_eq!(breaker.allows(2, 4, 2 * SECOND), 2, "the breaker is closed, and one failure does not open it");
        let mut recovering = Breaker::recovering();
        recovering.ended(true, 5, 4, SECOND);
        assert_eq!(recovering.allows(5, 4, SECOND), 0, "while recovering, one failure opens it");
    }

    proptest! {
        #[test]
        fn a_breaker_never_stays_open_for_ever(ends in prop::collection::vec((any::<bool>(), 0_u64..100), 0..200)) {
            let (mut breaker, mut now) = (Breaker::default(), Duration::ZERO);
            for (failure, wait) in ends {
                now += Duration::from_secs(wait);
                breaker.ended(failure, 3, 8, now);
                prop_assert!(breaker.allows(3, 8, now) <= 8);
                prop_assert!(breaker.allows(3, 8, now + MAX_PAUSE) >= 1);
            }
        }

        #[test]
        fn a_breaker_without_threshold_never_opens(ends in prop::collection::vec(any::<bool>(), 0..100)) {
            let mut breaker = Breaker::default();
            for failure in ends {
                breaker.ended(failure, 0, 8, SECOND);
                prop_assert_eq!(breaker.allows(0, 8, SECOND), 8);
            }
        }
    }
}
