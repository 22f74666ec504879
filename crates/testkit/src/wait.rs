//! Waits for conditions instead of sleeping. A wait polls often, has a deadline, and explains its failure.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// The pause between two checks of a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

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

/// Checks `value` until it equals `expected`.
///
/// # Panics
/// Like [`until`].
pub async fn until_eq<T: PartialEq + Debug>(
    what: &str,
    deadline: Duration,
    expected: T,
    mut value: impl AsyncFnMut() -> T,
) {
    until(what, deadline, async || {
        let seen = value().await;
        if seen == expected { Ok(()) } else { Err(Difference(format!("{seen:?} instead of {expected:?}"))) }
    })
    .await;
}

/// Like [`until`], for callers that explain the failure themselves: `Err` is what the last check saw.
pub async fn attempt<L: Look>(deadline: Duration, mut condition: impl AsyncFnMut() -> L) -> Result<L::Value, String> {
    let end = Instant::now() + deadline;
    let mut seen = String::from("nothing: the first check did not return");
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, condition()).await.map(Look::settle) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(now)) => seen = now,
            Err(_) => return Err(seen),
        }
        if Instant::now() >= end {
            return Err(seen);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
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
    async fn wait_ends_a_check_that_hangs() {
        let seen = attempt(Duration::from_millis(20), async || std::future::pending::<bool>().await).await;
        assert_eq!(seen, Err("nothing: the first check did not return".into()));
    }
}
