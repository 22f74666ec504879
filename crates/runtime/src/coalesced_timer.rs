//! Timer coalescing: deferrable work is aligned to a shared 25 ms tick. A wake-up costs the same for one piece of work
//! and for many, so coalesced timers share one write to the broker, one answer, and one wake-up of each thread.

use std::{sync::LazyLock, time::Duration};

use tokio::time::{Instant, sleep_until};

const TICK: Duration = Duration::from_millis(25);

static FIRST_TICK: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Sleeps until the first tick that is at least `pause` away.
pub async fn sleep_at_least(pause: Duration) {
    sleep_until(*FIRST_TICK + next(FIRST_TICK.elapsed() + pause)).await;
}

/// The first tick at or after this time; both are counted from the first tick.
fn next(after: Duration) -> Duration {
    let ticks = after.as_micros().div_ceil(TICK.as_micros());
    TICK.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_tick_is_less_than_one_interval_away() {
        let ms = Duration::from_millis;
        for (after, expected) in
            [(ms(0), ms(0)), (Duration::from_micros(1), ms(25)), (ms(25), ms(25)), (ms(1_001), ms(1_025))]
        {
            assert_eq!(next(after), expected);
        }
        assert_eq!(next(Duration::MAX), TICK.saturating_mul(u32::MAX));
    }
}
