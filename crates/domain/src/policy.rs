//! Retry policies: when attempts follow each other. A policy is a setting of a destination.

mod next_step;

use std::time::Duration;

use crate::outcome::ErrorKind;

/// How failed attempts at a destination are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Quick retries after a transient failure, before the schedule starts.
    pub quick: QuickRetries,
    /// The delay before each further attempt. There are 0 to [`RetryPolicy::MAX_STEPS`] delays of at most
    /// [`RetryPolicy::MAX_DELAY`] each.
    pub schedule: Vec<Duration>,
    /// The maximum jitter added to a scheduled delay, in percent of it; 0 to 50. The jitter is computed from the
    /// delivery and the attempt, so a redelivered message gets the same delay.
    pub jitter_percent: u8,
    /// The maximum time from the request of a round to an attempt; `None` if there is no limit.
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
    /// them. It is enough for a month at a receiver with a daily quota.
    pub const MAX_FREE_WAITS: u32 = 30;
    /// The maximum jitter, in percent of a delay.
    pub const MAX_JITTER: u8 = 50;

    /// Up to three quick retries after transient failures, five seconds apart. Then four attempts within the hour. Then
    /// the destination is deactivated, if nothing succeeded meanwhile.
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_errors_name_the_field() {
        for preset in [RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual()] {
            preset.validate().unwrap();
        }
        let long = RetryPolicy { schedule: vec![RetryPolicy::MAX_DELAY * 2], ..RetryPolicy::manual() };
        assert!(long.validate().unwrap_err().to_string().starts_with("retry_policy.schedule: "));
    }
}
