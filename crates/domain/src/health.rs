//! The health of a destination, as people see it: the results of its attempts, and the latency of its receiver.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    delivery::DeliveryStatus,
    outcome::{AttemptOutcome, ErrorKind},
};

/// A destination counts as failing after this many failures in a row, even if a delivery succeeded in the last hour.
pub const FAILING_AFTER: u64 = 3;

/// A histogram of latencies. Its buckets are fixed, so it takes the same space for any number of attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latencies(pub [u64; Latencies::BUCKETS]);

impl Latencies {
    pub const BUCKETS: usize = 20;
    /// The end of each bucket except the last one, in milliseconds. The last one ends at the maximum timeout of a
    /// destination.
    const ENDS: [u64; Self::BUCKETS - 1] =
        [2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000];
    const MAX_MILLIS: u64 = 60_000;

    pub fn add(&mut self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = Self::ENDS.iter().position(|end| millis < *end).unwrap_or(Self::ENDS.len());
        self.0[bucket] += 1;
    }

    pub fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }

    /// The time within which `percent` percent of the attempts were answered, interpolated within its bucket; `None` if
    /// there was no attempt.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().sum();
        // The position of the attempt, from 1.
        let place = (total * percent).div_ceil(100).max(1);
        let mut before = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            if before + count >= place {
                let from = bucket.checked_sub(1).map_or(0, |previous| Self::ENDS[previous]);
                let to = Self::ENDS.get(bucket).copied().unwrap_or(Self::MAX_MILLIS);
                let micros = (to - from) * 1_000 * (place - before) / count;
                return Some(Duration::from_micros(from * 1_000 + micros));
            }
            before += count;
        }
        None
    }
}

/// The number of attempts by answer: 2xx, 3xx, 4xx, 5xx, none. Other statuses are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers(pub [u64; Answers::KINDS]);

impl Answers {
    pub const KINDS: usize = 5;

    fn add(&mut self, outcome: &AttemptOutcome) {
        let kind = match outcome {
            AttemptOutcome::Response { status: 200..=299, .. } => 0,
            AttemptOutcome::Response { status: 300..=399, .. } => 1,
            AttemptOutcome::Response { status: 400..=499, .. } => 2,
            AttemptOutcome::Response { status: 500..=599, .. } => 3,
            AttemptOutcome::Response { .. } => return,
            AttemptOutcome::NoResponse { .. } => 4,
        };
        self.0[kind] += 1;
    }

    fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(count, more)| *count += more);
    }
}

/// The numbers of ended deliveries and of attempts in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub succeeded: u64,
    pub failed: u64,
    pub attempts: u64,
    pub failed_attempts: u64,
    pub answers: Answers,
    pub latencies: Latencies,
}

impl Counts {
    /// Adds an attempt. Only answers and timeouts count for the latency.
    pub fn add_attempt(&mut self, outcome: &AttemptOutcome, took: Duration) {
        self.attempts += 1;
        self.failed_attempts += u64::from(!outcome.is_success());
        self.answers.add(outcome);
        if matches!(outcome, AttemptOutcome::Response { .. }) || outcome.error_kind() == Some(ErrorKind::Timeout) {
            self.latencies.add(took);
        }
    }

    /// Adds the end of a delivery, if this step ends it.
    pub fn add_end(&mut self, before: Option<DeliveryStatus>, after: DeliveryStatus) {
        if before != Some(after) {
            self.succeeded += u64::from(after == DeliveryStatus::Succeeded);
            self.failed += u64::from(after == DeliveryStatus::Failed);
        }
    }

    pub fn add_all(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.attempts += other.attempts;
        self.failed_attempts += other.failed_attempts;
        self.answers.add_all(&other.answers);
        self.latencies.add_all(&other.latencies);
    }
}

/// The latest results of the attempts at a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Streak {
    pub last_success_at: Option<Timestamp>,
    pub last_failure_at: Option<Timestamp>,
    /// The number of failed attempts since the last success.
    pub failures_in_a_row: u64,
}

impl Streak {
    pub fn learn(&mut self, succeeded: bool, at: Timestamp) {
        if succeeded {
            self.last_success_at = self.last_success_at.max(Some(at));
            self.failures_in_a_row = 0;
        } else {
            self.last_failure_at = self.last_failure_at.max(Some(at));
            self.failures_in_a_row += 1;
        }
    }

    /// Whether a destination that is switched on works, given the attempts of the last hour.
    pub fn state(&self, last_hour: &Counts) -> HealthState {
        let nothing_succeeds = last_hour.attempts == last_hour.failed_attempts;
        match self.failures_in_a_row {
            0 if self.last_success_at.is_none() => HealthState::Idle,
            0 => HealthState::Healthy,
            failures if failures >= FAILING_AFTER || nothing_succeeds => HealthState::Failing,
            _ => HealthState::Healthy,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthState {
    Healthy,
    Failing,
    /// No attempt was made within the history.
    Idle,
}

/// Why a lane makes fewer requests than its destination allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneCondition {
    /// The receiver cannot be reached: the breaker allows one probe after this time.
    Probing { after: Duration, failures: u32 },
    /// The receiver asks for a pause, which ends after this time.
    Paused { left: Duration },
    /// After failures in a row, fewer requests may be in flight.
    Narrowed { allowed: u32, failures: u32 },
}

impl LaneCondition {
    /// The condition when its report is this old.
    #[must_use]
    pub const fn aged(self, by: Duration) -> Self {
        match self {
            Self::Probing { after, failures } => Self::Probing { after: after.saturating_sub(by), failures },
            Self::Paused { left } => Self::Paused { left: left.saturating_sub(by) },
            narrowed @ Self::Narrowed { .. } => narrowed,
        }
    }

    /// The severity. A condition with a higher rank allows fewer requests.
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Narrowed { .. } => 0,
            Self::Paused { .. } => 1,
            Self::Probing { .. } => 2,
        }
    }
}
