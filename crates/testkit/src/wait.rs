//! Waits for conditions instead of sleeping. A wait polls often, has a deadline, and explains its failure.
//!
//! On a busy machine the checks themselves slow down what they wait for: each is a call to the system under test. So
//! pauses grow with the time that a wait takes, and a check never takes more than half of that time.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// The shortest pause between two checks of a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The longest pause after a check that returned at once. Pauses are a tenth of the time waited so far.
const MAX_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The longest pause after a slow check: a call that only waited for an answer took no processor time.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How many deadlines a value may take to reach the expected one while it keeps changing.
const MAX_DEADLINES: u32 = 10;

/// The result of one check of a condition: it holds, with a value, or it does not hold yet, with what was seen instead.
pub trait Look {
    /// The value of the condition once it holds.
    type Value;

    /// `Err` describes what was seen, for the message of a wait that fails.
    fn settle(self) -> Result<Self::Value, String>;
}

impl Look for bool {
    type Value = ();

    fn settle(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".into()) }
    }
}

impl<T> Look for Option<T> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.ok_or_else(|| "None".into())
    }
}

impl<T, E: Debug> Look for Result<T, E> {
    type Value = T;

    fn settle(self) -> Result<T, String> {
        self.map_err(|seen| format!("{seen:#?}"))
    }
}

/// Checks `condition` until it holds, and returns its value. `what` completes the sentence "waited for ...".
///
/// # Panics
/// If `deadline` passes first; the message says what was awaited, for how long, and what the last check saw. A check
/// that takes longer than the rest of the deadline is dropped.
pub async fn until<L: Look>(what: &str, deadline: Duration, condition: impl AsyncFnMut() -> L) -> L::Value {
    match attempt(deadline, condition).await {
        Ok(value) => value,
        Err(seen) => panic!("waited {deadline:?} for {what}; last seen: {seen}"),
    }
}

/// Checks `value` until it equals `expected`. The deadline starts again with each new value: a count that still grows on
/// a slow machine is not a failure.
///
/// # Panics
/// If there is no new value for `deadline`, or the expected one for ten times as long; otherwise like [`until`].
pub async fn until_eq<T: PartialEq + Debug>(
    what: &str,
    deadline: Duration,
    expected: T,
    mut value: impl AsyncFnMut() -> T,
) {
    let end = Instant::now() + deadline * MAX_DEADLINES;
    let mut before = vec![];
    loop {
        let began = Instant::now();
        // `Some` is a new value.
        let changed = attempt(deadline, async || {
            let seen = value().await;
            if seen == expected {
                Ok(None)
            } else if before.contains(&seen) || Instant::now() >= end {
                Err(Difference(format!("{seen:?} instead of {expected:?}")))
            } else {
                Ok(Some(seen))
            }
        })
        .await;
        match changed {
            Ok(None) => return,
            Ok(Some(seen)) => before.push(seen),
            Err(seen) => panic!("waited {deadline:?} for {what}; last seen: {seen}"),
        }
        tokio::time::sleep(began.elapsed().clamp(POLL_INTERVAL, MAX_POLL_INTERVAL)).await;
    }
}

/// Like [`until`], for callers that explain the failure themselves: `Err` is what the last check saw.
pub async fn attempt<L: Look>(deadline: Duration, mut condition: impl AsyncFnMut() -> L) -> Result<L::Value, String> {
    let began = Instant::now();
    let end = began + deadline;
    let mut seen = String::from("nothing: the first check did not return");
    loop {
        let check = Instant::now();
        let left = end.saturating_duration_since(check);
        match tokio::time::timeout(left, condition()).await.map(Look::settle) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(now)) => seen = now,
            Err(_) => return Err(seen),
        }
        if Instant::now() >= end {
            return Err(seen);
        }
        tokio::time::sleep(pause(began.elapsed(), check.elapsed())).await;
    }
}

/// The pause after a check, given the time waited so far and the time that the check took.
fn pause(waited: Duration, check: Duration) -> Duration {
    (waited / 10).clamp(POLL_INTERVAL, MAX_POLL_INTERVAL).max(check.min(MAX_PAUSE))
}

/// A text that a failure shows without quotes.
struct Difference(String);

impl Debug for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_returns_the_value_of_its_condition() {
        let mut looks = 0;
        let value = until("the third look", Duration::from_secs(5), async || {
            looks += 1;
            (looks == 3).then_some(looks)
        })
        .await;
        assert_eq!(value, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "for a two; last seen: 1 instead of 2")]
    async fn failed_wait_names_condition_and_last_value() {
        until_eq("a two", Duration::from_millis(20), 2, async || 1).await;
    }

    #[tokio::test]
    async fn deadline_starts_again_when_the_value_changes() {
        let (began, deadline) = (Instant::now(), Duration::from_millis(100));
        // Ten values, each of which lasts for half of the deadline.
        until_eq("the tenth value", deadline, 10, async || (began.elapsed().as_millis() / 50).min(10)).await;
    }

    #[test]
    fn a_check_takes_at_most_half_of_the_time_of_a_wait() {
        let ms = Duration::from_millis;
        assert_eq!(pause(ms(0), ms(1)), ms(10));
        assert_eq!(pause(ms(500), ms(1)), ms(50));
        assert_eq!(pause(ms(9_000), ms(1)), ms(100));
        assert_eq!(pause(ms(0), ms(300)), ms(300));
        assert_eq!(pause(ms(0), ms(9_000)), ms(1_000));
    }

    #[tokio::test]
    async fn wait_ends_a_check_that_hangs() {
        let seen = attempt(Duration::from_millis(20), async || std::future::pending::<bool>().await).await;
        assert_eq!(seen, Err("nothing: the first check did not return".into()));
    }
}
