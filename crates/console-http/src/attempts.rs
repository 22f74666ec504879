//! How often an address may fail to log in. Secrets cannot be guessed; the limit keeps logs readable and the load low.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use runtime::Origin;

/// The maximum number of failures of an address within [`WINDOW`].
const MAX_FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// The maximum number of addresses that are counted; the oldest count is dropped for a further one.
const MAX_ADDRESSES: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<HashMap<Origin, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Attempts {
    /// Counts an attempt as a failure, until [`Attempts::succeeded`].
    ///
    /// # Errors
    /// If the address has failed too often: the time after which it may try again.
    pub(crate) fn begin(&self, address: Origin, now: Instant) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains_key(&address) && all.len() >= MAX_ADDRESSES {
            all.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
            let oldest = all.iter().min_by_key(|(_, failures)| failures.since).map(|(oldest, _)| *oldest);
            if let Some(oldest) = oldest.filter(|_| all.len() >= MAX_ADDRESSES) {
                all.remove(&oldest);
            }
        }
        let failures = all.entry(address).or_insert(Failures { since: now, count: 0 });
        let elapsed = now.duration_since(failures.since);
        if elapsed >= WINDOW {
            *failures = Failures { since: now, count: 0 };
        }
        if failures.count >= MAX_FAILURES {
            return Err(WINDOW - elapsed);
        }
        failures.count += 1;
        Ok(())
    }

    pub(crate) fn succeeded(&self, address: Origin) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = all.get_mut(&address) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn address(number: u32) -> Origin {
        Origin::of(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn an_address_may_fail_ten_times_a_minute() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for _ in 0..100 {
            attempts.begin(address(1), start).unwrap();
            attempts.succeeded(address(1));
        }
        for _ in 0..MAX_FAILURES {
            attempts.begin(address(1), start).unwrap();
        }
        assert_eq!(attempts.begin(address(1), start + WINDOW / 4), Err(WINDOW - WINDOW / 4));
        attempts.begin(address(2), start).unwrap();
        attempts.begin(address(1), start + WINDOW).unwrap();
    }

    #[test]
    fn the_number_of_counted_addresses_has_a_bound() {
        let (attempts, start) = (Attempts::default(), Instant::now());
        for number in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 10 {
            attempts.begin(address(number), start).unwrap();
        }
        assert_eq!(attempts.0.lock().unwrap().len(), MAX_ADDRESSES);
    }
}
