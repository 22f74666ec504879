//! The wall clock of every service jumps forwards and back; the broker's clock does not.
//!
//! The services run under libfaketime ([`FakeClock`]).

use std::time::Duration;

use testkit::{FakeClock, NatsServer};

use crate::{
    plan::Seeded,
    scenario::{EVENTS, Fire, Settings},
    stage::{Brokers, Shape},
};

/// The errors of the clock in seconds, one after another. The last one is 0. If the clock is fast when a retry is
/// decided, the retry happens later by the same time. So no offset is a large positive number.
const OFFSETS: [i32; 5] = [5, -7, 10, -3_600, 0];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jumps_lose_no_events() {
    let Some(clock) = FakeClock::new("jumps of the clock") else { return };
    let settings = Settings::from_env(EVENTS / 4);
    let brokers = Brokers::One(NatsServer::start().await);
    let fire =
        Fire::light_on("clock jumps", settings, Shape { brokers, of_each: 1, env: clock.env(), seed: settings.seed })
            .await;
    let mut seeded = Seeded::of(settings.seed, "clock");
    for seconds in OFFSETS {
        clock.set(seconds);
        fire.burns_for(Duration::from_millis(500 + seeded.below(1_500) as u64)).await;
    }
    fire.go_on().await;
    fire.out().await;
}
