//! Moments in common. Waking up for one thing costs as much as for many, so what nobody waits for is done at one of a few
//! moments, together with what others have to do then: one write to the broker, one answer, one turn of each thread.

use std::{sync::LazyLock, time::Duration};

use tokio::time::{Instant, sleep_until};

/// The time between two moments.
const APART: Duration = Duration::from_millis(25);

static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Sleeps until the first moment that is so far away at least.
pub async fn sleep_at_least(pause: Duration) {
    sleep_until(*FIRST + next(FIRST.elapsed() + pause)).await;
}

/// The first moment at or after this time, both counted from the first one.
fn next(after: Duration) -> Duration {
    let moments = after.as_micros().div_ceil(APART.as_micros());
    APART.saturating_mul(u32::try_from(moments).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_moment_is_not_before_and_less_than_one_after() {
        let ms = Duration::from_millis;
        for (after, expected) in
            [(ms(0), ms(0)), (Duration::from_micros(1), ms(25)), (ms(25), ms(25)), (ms(1_001), ms(1_025))]
        {
            assert_eq!(next(after), expected);
        }
        assert_eq!(next(Duration::MAX), APART.saturating_mul(u32::MAX));
    }
}
