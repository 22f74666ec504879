//! The next step after a failed attempt.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{QuickRetries, RetryPolicy, RetryProgress};
use crate::{
    delivery::{FailureReason, NextStep},
    ids::DeliveryId,
    outcome::{AttemptOutcome, ErrorKind},
};

impl RetryPolicy {
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
        let planned_delay = planned.map(|(delay, _)| delay).or(self.last_delay());
        let longer = outcome.asks_to_pause().filter(|asked| planned_delay.is_some_and(|delay| *asked > delay));
        let (delay, next) = match (longer, planned) {
            (Some(asked), _) if progress.waits < Self::MAX_FREE_WAITS => {
                (asked, RetryProgress { waits: progress.waits + 1, ..progress })
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

/// `time` plus `wait`, at most the latest time that can be expressed.
fn after(time: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| time.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}

/// A part of `delay` between 0 and `percent` percent, computed from delivery and attempt (the finaliser of SplitMix64).
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

    use super::{super::minutes, *};

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
