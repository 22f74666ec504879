//! Retry policies: when attempts follow each other. A policy is data on its destination; this module only reads it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{
    delivery::{FailureReason, NextStep},
    ids::DeliveryId,
    outcome::{AttemptOutcome, ErrorKind},
};

/// How failed attempts at a destination are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Quick retries after a transient failure, before the schedule starts.
    pub quick: QuickRetries,
    /// The delay before each further attempt; 0 to [`RetryPolicy::MAX_STEPS`] of them, each at most
    /// [`RetryPolicy::MAX_DELAY`].
    pub schedule: Vec<Duration>,
    /// The maximum jitter added to a scheduled delay, in percent of it; 0 to 50. The jitter is computed from the
    /// delivery and the attempt, so a redelivered message gets the same delay.
    pub jitter_percent: u8,
    /// The maximum time from the request of the delivery to an attempt; `None` if there is no limit.
    pub max_age: Option<Duration>,
    /// When a delivery that has used up its attempts deactivates the destination.
    pub deactivate: Deactivate,
}

/// When a delivery that has used up its attempts deactivates its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Deactivate {
    /// Never.
    Never,
    /// If no delivery succeeded at the destination since this one first failed. If others succeed, the receiver works
    /// and rejects only this lead.
    #[default]
    IfNothingSucceeded,
    /// Always, even if other deliveries succeeded.
    OnExhaustion,
}

impl Deactivate {
    pub const ALL: [Self; 3] = [Self::Never, Self::IfNothingSucceeded, Self::OnExhaustion];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::IfNothingSucceeded => "if_nothing_succeeded",
            Self::OnExhaustion => "on_exhaustion",
        }
    }

    /// The rule that a word names. If the word is empty, the older flag `deactivate_on_exhaustion` decides.
    pub fn parse(word: &str, flag: bool) -> Option<Self> {
        match (word, flag) {
            ("", true) => Some(Self::IfNothingSucceeded),
            ("", false) => Some(Self::Never),
            (word, _) => Self::ALL.into_iter().find(|rule| rule.as_str() == word),
        }
    }
}

/// Quick retries after a transient failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuickRetries {
    /// The number of quick retries in a round; 0 to [`RetryPolicy::MAX_QUICK`].
    pub count: u32,
    /// The delay before each quick retry.
    pub pause: Duration,
    /// The statuses that count as transient.
    pub statuses: Vec<u16>,
    /// The kinds of error that count as transient.
    pub kinds: Vec<ErrorKind>,
}

impl QuickRetries {
    fn covers(&self, outcome: &AttemptOutcome) -> bool {
        match outcome.error_kind() {
            // Stored policies may be older than these kinds. Like a refused connection, they mean that no request
            // reached the receiver.
            Some(kind @ (ErrorKind::Proxy | ErrorKind::OAuth)) => {
                self.kinds.contains(&kind) || self.kinds.contains(&ErrorKind::Connect)
            }
            Some(kind) => self.kinds.contains(&kind),
            None => self.statuses.contains(&outcome.status_code()),
        }
    }
}

/// An invalid field of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("retry_policy.{field}: {problem}")]
pub struct PolicyError {
    /// The field, as the API names it.
    pub field: &'static str,
    pub problem: String,
}

/// The progress of a delivery in its round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryProgress {
    /// The quick retries used.
    pub quick_used: u32,
    /// The steps of the schedule used.
    pub step: u32,
    /// The waits that the receiver asked for and that used neither a quick retry nor a step.
    pub waits: u32,
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

impl RetryPolicy {
    /// The maximum number of steps of a schedule.
    pub const MAX_STEPS: usize = 20;
    /// The maximum delay of a step.
    pub const MAX_DELAY: Duration = minutes(7 * 24 * 60);
    /// The maximum number of quick retries.
    pub const MAX_QUICK: u32 = 10;
    /// The maximum pause between quick retries.
    pub const MAX_PAUSE: Duration = minutes(1);
    /// The maximum number of waits in a round that use neither a quick retry nor a step, because the receiver asked for
    /// them. It covers a month of a daily quota.
    pub const MAX_FREE_WAITS: u32 = 30;
    /// The maximum jitter, in percent of a delay.
    pub const MAX_JITTER: u8 = 50;

    /// Three quick retries five seconds apart for transient failures, then four attempts within the hour, then
    /// deactivation if nothing succeeded meanwhile.
    pub fn standard() -> Self {
        Self {
            quick: QuickRetries {
                count: 3,
                pause: Duration::from_secs(5),
                statuses: vec![408, 409, 429, 504],
                kinds: vec![ErrorKind::Dns, ErrorKind::Connect, ErrorKind::Timeout, ErrorKind::Reset],
            },
            schedule: vec![minutes(5), minutes(10), minutes(15), minutes(20)],
            jitter_percent: 10,
            max_age: None,
            deactivate: Deactivate::IfNothingSucceeded,
        }
    }

    /// Seven further attempts over about a day, for receivers that are away for hours.
    pub fn patient() -> Self {
        let hours = |n: u64| minutes(n * 60);
        Self {
            quick: QuickRetries { count: 0, pause: Duration::ZERO, statuses: vec![], kinds: vec![] },
            schedule: vec![Duration::from_secs(5), minutes(5), minutes(30), hours(2), hours(5), hours(10), hours(10)],
            jitter_percent: 10,
            max_age: None,
            deactivate: Deactivate::IfNothingSucceeded,
        }
    }

    /// No automatic retry; a person decides.
    pub fn manual() -> Self {
        Self {
            quick: QuickRetries { count: 0, pause: Duration::ZERO, statuses: vec![], kinds: vec![] },
            schedule: vec![],
            jitter_percent: 0,
            max_age: None,
            deactivate: Deactivate::Never,
        }
    }

    /// Checks every bound.
    ///
    /// # Errors
    /// The first field that is out of its range, with the range.
    pub fn validate(&self) -> Result<(), PolicyError> {
        let refuse = |field, problem| Err(PolicyError { field, problem });
        if self.quick.count > Self::MAX_QUICK {
            return refuse("quick.count", format!("{} is more than {}", self.quick.count, Self::MAX_QUICK));
        }
        if self.quick.pause > Self::MAX_PAUSE {
            return refuse("quick.pause", format!("{:?} is longer than {:?}", self.quick.pause, Self::MAX_PAUSE));
        }
        if let Some(status) = self.quick.statuses.iter().find(|s| !(300..=599).contains(*s)) {
            return refuse("quick.statuses", format!("{status} is not an HTTP status of a failure (300 to 599)"));
        }
        if self.schedule.len() > Self::MAX_STEPS {
            return refuse("schedule", format!("{} steps are more than {}", self.schedule.len(), Self::MAX_STEPS));
        }
        if let Some(delay) = self.schedule.iter().find(|d| **d > Self::MAX_DELAY) {
            return refuse("schedule", format!("{delay:?} is longer than {:?}", Self::MAX_DELAY));
        }
        if self.jitter_percent > Self::MAX_JITTER {
            return refuse("jitter_percent", format!("{} is more than {}", self.jitter_percent, Self::MAX_JITTER));
        }
        Ok(())
    }

    /// The next step after a *failed* attempt that ended at `now`, and the progress of the policy.
    ///
    /// `attempt` is the attempt's number in its delivery (from 1); `requested_at` is when this round began. If the
    /// receiver asks for a longer wait than the policy plans, the wait uses no step of the policy, for up to
    /// [`RetryPolicy::MAX_FREE_WAITS`] waits. A policy that never retries does not wait either.
    pub fn after_failure(
        &self,
        delivery: DeliveryId,
        attempt: u32,
        progress: RetryProgress,
        requested_at: Timestamp,
        outcome: &AttemptOutcome,
        now: Timestamp,
    ) -> (NextStep, RetryProgress) {
        if outcome.error_kind() == Some(ErrorKind::Render) {
            // The same settings and the same lead fail again.
            return (NextStep::Failed(FailureReason::Render), progress);
        }
        let planned = self.planned(delivery, attempt, progress, outcome);
        let usual = planned.map(|(delay, _)| delay).or(self.last_delay());
        let longer = outcome.asks_to_pause().filter(|wish| usual.is_some_and(|usual| *wish > usual));
        let (delay, next) = match (longer, planned) {
            (Some(wish), _) if progress.waits < Self::MAX_FREE_WAITS => {
                (wish, RetryProgress { waits: progress.waits + 1, ..progress })
            }
            (_, Some((delay, next))) => (delay.max(outcome.retry_after().unwrap_or_default()), next),
            (_, None) => return (NextStep::Failed(FailureReason::Exhausted), progress),
        };
        let at = after(now, delay);
        if self.max_age.is_some_and(|limit| at > after(requested_at, limit)) {
            return (NextStep::Failed(FailureReason::TooOld), progress);
        }
        (NextStep::RetryAt(at), next)
    }

    /// The next delay of the policy itself; `None` if it has no further attempt.
    fn planned(
        &self,
        delivery: DeliveryId,
        attempt: u32,
        progress: RetryProgress,
        outcome: &AttemptOutcome,
    ) -> Option<(Duration, RetryProgress)> {
        if progress.quick_used < self.quick.count && self.quick.covers(outcome) {
            return Some((self.quick.pause, RetryProgress { quick_used: progress.quick_used + 1, ..progress }));
        }
        let delay = *self.schedule.get(progress.step as usize)?;
        let extra = jitter(delivery, attempt, delay, self.jitter_percent);
        Some((delay + extra, RetryProgress { step: progress.step + 1, ..progress }))
    }

    /// The delay before the last attempt of the policy; `None` if it never retries.
    fn last_delay(&self) -> Option<Duration> {
        self.schedule.last().copied().or((self.quick.count > 0).then_some(self.quick.pause))
    }
}

/// `time` plus `wait`, or the end of time.
fn after(time: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| time.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

/// Between zero and `percent` of `delay`, computed from delivery and attempt (the finaliser of SplitMix64).
fn jitter(delivery: DeliveryId, attempt: u32, delay: Duration, percent: u8) -> Duration {
    let (high, low) = delivery.uuid().as_u64_pair();
    let mut x = high ^ low.rotate_left(32) ^ u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    let share = (x >> 32) as u32; // uniform in 0..2^32
    delay.mul_f64(f64::from(percent) / 100.0 * f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn status(status: u16) -> AttemptOutcome {
        AttemptOutcome::Response { status, excerpt: String::new(), retry_after: None }
    }

    fn t(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// The delays, in whole seconds, until the policy has no further attempt.
    fn delays(policy: &RetryPolicy, outcome: &AttemptOutcome) -> Vec<i64> {
        let (mut progress, mut now, mut waited) = (RetryProgress::default(), t(0), vec![]);
        for attempt in 1..100 {
            let (next_step, next) =
                policy.after_failure(DeliveryId::from_uuid(Uuid::nil()), attempt, progress, t(0), outcome, now);
            let NextStep::RetryAt(at) = next_step else { return waited };
            waited.push(at.duration_since(now).as_secs());
            (progress, now) = (next, at);
        }
        panic!("the policy never gives up");
    }

    #[test]
    fn the_standard_policy_retries_transient_failures_quickly_first() {
        let policy = RetryPolicy { jitter_percent: 0, ..RetryPolicy::standard() };
        assert_eq!(delays(&policy, &status(504)), [5, 5, 5, 300, 600, 900, 1200]);
        assert_eq!(delays(&policy, &status(500)), [300, 600, 900, 1200]);
        for kind in [ErrorKind::Connect, ErrorKind::Proxy, ErrorKind::OAuth] {
            let refused = AttemptOutcome::NoResponse { kind, message: String::new() };
            assert_eq!(delays(&policy, &refused), [5, 5, 5, 300, 600, 900, 1200], "{kind}");
        }
        assert!(delays(&policy, &status(500)).iter().sum::<i64>() < 3600, "four more attempts within the hour");
    }

    #[test]
    fn even_with_full_jitter_the_standard_policy_stays_within_the_hour() {
        let policy = RetryPolicy::standard();
        let longest: f64 = policy.schedule.iter().map(Duration::as_secs_f64).sum();
        assert!(longest * (1.0 + f64::from(policy.jitter_percent) / 100.0) <= 3600.0);
    }

    #[test]
    fn manual_never_retries_and_max_age_ends_a_delivery() {
        assert!(delays(&RetryPolicy::manual(), &status(500)).is_empty());
        let aged = RetryPolicy { max_age: Some(Duration::from_secs(400)), ..RetryPolicy::standard() };
        assert_eq!(delays(&RetryPolicy { jitter_percent: 0, ..aged }, &status(500)), [300]);
    }

    fn asks(seconds: u64) -> AttemptOutcome {
        let retry_after = Some(Duration::from_secs(seconds));
        AttemptOutcome::Response { status: 429, excerpt: String::new(), retry_after }
    }

    #[test]
    fn a_render_failure_is_final_at_once() {
        let render = AttemptOutcome::NoResponse { kind: ErrorKind::Render, message: String::new() };
        for policy in [RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual()] {
            let id = DeliveryId::from_uuid(Uuid::nil());
            let (next_step, _) = policy.after_failure(id, 1, RetryProgress::default(), t(0), &render, t(0));
            assert_eq!(next_step, NextStep::Failed(FailureReason::Render));
        }
    }

    #[test]
    fn retry_after_can_only_lengthen_a_delay() {
        let policy = RetryPolicy { jitter_percent: 0, ..RetryPolicy::standard() };
        assert_eq!(delays(&policy, &asks(1)), [5, 5, 5, 300, 600, 900, 1200]);
        assert_eq!(delays(&policy, &asks(60))[0], 60);
    }

    #[test]
    fn a_requested_wait_uses_no_step() {
        let policy = RetryPolicy { jitter_percent: 0, ..RetryPolicy::standard() };
        let day = 86_400;
        let waits = delays(&policy, &asks(day as u64));
        assert_eq!(waits.len(), RetryPolicy::MAX_FREE_WAITS as usize + 7);
        assert!(waits.iter().all(|wait| *wait == day), "waits that use a step also last a day");
        let used = RetryProgress { quick_used: 3, step: 2, waits: 0 };
        let (next_step, next) =
            policy.after_failure(DeliveryId::from_uuid(Uuid::nil()), 6, used, t(0), &asks(day as u64), t(0));
        assert_eq!((next_step, next), (NextStep::RetryAt(t(day)), RetryProgress { waits: 1, ..used }));
    }

    #[test]
    fn a_requested_wait_does_not_extend_the_policy() {
        assert!(delays(&RetryPolicy::manual(), &asks(60)).is_empty());
        let aged = RetryPolicy { max_age: Some(Duration::from_secs(100)), ..RetryPolicy::standard() };
        assert_eq!(delays(&aged, &asks(60)), [60]);
        // Another status does not promise that the receiver accepts the lead later, so each wait is a step.
        let other = AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: Some(minutes(60)) };
        assert_eq!(delays(&RetryPolicy::standard(), &other), [3600; 4]);
    }

    #[test]
    fn presets_are_valid_and_errors_name_the_field() {
        for preset in [RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual()] {
            preset.validate().unwrap();
        }
        let long = RetryPolicy { schedule: vec![RetryPolicy::MAX_DELAY * 2], ..RetryPolicy::manual() };
        assert!(long.validate().unwrap_err().to_string().starts_with("retry_policy.schedule: "));
    }

    proptest! {
        #[test]
        fn jitter_is_repeatable_and_bounded(id: u128, attempt: u32, millis in 0..1_000_000_u64, percent in 0..=50_u8) {
            let (id, delay) = (DeliveryId::from_uuid(Uuid::from_u128(id)), Duration::from_millis(millis));
            let extra = jitter(id, attempt, delay, percent);
            prop_assert_eq!(extra, jitter(id, attempt, delay, percent));
            prop_assert!(extra <= delay.mul_f64(f64::from(percent) / 100.0));
        }
    }
}
