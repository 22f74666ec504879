//! Detects bursts.
//!
//! The router takes events in the order in which they are stored, and publishers can store more in a second than
//! dispatchers deliver. The many deliveries of one interface must not delay the few deliveries of others. So the router
//! takes the events of a burst only while no other events wait. Deliveries are counted, not events: a few events for
//! many destinations are as much work as many events for one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{AccountId, InterfaceId};
use journal::Traffic;

/// The period in which the deliveries of an interface are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// How long the events of an interface count as a burst after it had too many deliveries, so that later events do not
/// overtake the burst.
const BURST_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum number of remembered interfaces. At this number, calm interfaces are forgotten, at most once in a
/// [`WINDOW`]. If there is no room for an interface, its events do not count as a burst.
const MAX_INTERFACES: usize = 10_000;

/// Counts the deliveries of each interface.
#[derive(Debug)]
pub(crate) struct Bursts {
    above: u32,
    flows: Mutex<Flows>,
}

#[derive(Debug, Default)]
struct Flows {
    of: HashMap<(AccountId, InterfaceId), Flow>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Flow {
    since: Instant,
    deliveries: u32,
    burst_until: Option<Instant>,
}

impl Bursts {
    /// More than `above` deliveries for the events of an interface in a second are a burst.
    pub(crate) fn new(above: u32) -> Self {
        Self { above, flows: Mutex::default() }
    }

    /// Counts the deliveries of an event. An event without deliveries counts as one delivery, because it is work, too.
    pub(crate) fn traffic(
        &self,
        account: &AccountId,
        interface: &InterfaceId,
        deliveries: usize,
        now: Instant,
    ) -> Traffic {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (account.clone(), interface.clone());
        if flows.of.len() >= MAX_INTERFACES && !flows.of.contains_key(&key) {
            if flows.swept.is_none_or(|swept| now.duration_since(swept) >= WINDOW) {
                flows.of.retain(|_, flow| now.duration_since(flow.since) < BURST_TIMEOUT + WINDOW);
                flows.swept = Some(now);
            }
            if flows.of.len() >= MAX_INTERFACES {
                return Traffic::Steady;
            }
        }
        let flow = flows.of.entry(key).or_insert(Flow { since: now, deliveries: 0, burst_until: None });
        if now.duration_since(flow.since) >= WINDOW {
            (flow.since, flow.deliveries) = (now, 0);
        }
        let counted = u32::try_from(deliveries.max(1)).unwrap_or(u32::MAX);
        flow.deliveries = flow.deliveries.saturating_add(counted);
        if flow.deliveries > self.above {
            flow.burst_until = Some(now + BURST_TIMEOUT);
        }
        if flow.burst_until.is_some_and(|until| now < until) { Traffic::Burst } else { Traffic::Steady }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_an_interface_are_a_burst_until_it_was_calm() {
        let (bursts, start) = (Bursts::new(2), Instant::now());
        let account = AccountId::parse("acme").unwrap();
        let [loud, quiet] = ["loud", "quiet"].map(|id| InterfaceId::parse(id).unwrap());
        let at = |interface, ms| bursts.traffic(&account, interface, 1, start + Duration::from_millis(ms));
        for (ms, expected) in [
            (0, Traffic::Steady),
            (100, Traffic::Steady),
            (900, Traffic::Burst),
            (1_000, Traffic::Burst),
            (10_899, Traffic::Burst),
            (10_900, Traffic::Steady),
            (11_899, Traffic::Steady),
            (11_899, Traffic::Steady),
            (11_899, Traffic::Burst),
        ] {
            assert_eq!(at(&loud, ms), expected, "after {ms} ms");
        }
        assert_eq!(at(&quiet, 11_899), Traffic::Steady, "each interface is counted separately");
    }

    #[test]
    fn few_events_for_many_destinations_are_a_burst_too() {
        let (bursts, start) = (Bursts::new(1_000), Instant::now());
        let (account, interface) = (AccountId::parse("acme").unwrap(), InterfaceId::parse("form").unwrap());
        let traffic = |deliveries| bursts.traffic(&account, &interface, deliveries, start);
        assert!((0..5).all(|_| traffic(200) == Traffic::Steady));
        assert_eq!(traffic(0), Traffic::Burst, "an event without deliveries is work, too");
    }

    #[test]
    fn the_number_of_remembered_interfaces_is_bounded() {
        let (bursts, start) = (Bursts::new(0), Instant::now());
        let account = AccountId::parse("acme").unwrap();
        let nth = |n: usize| InterfaceId::parse(&format!("i{n}")).unwrap();
        let remembered = || bursts.flows.lock().unwrap().of.len();
        for n in 0..MAX_INTERFACES {
            assert_eq!(bursts.traffic(&account, &nth(n), 1, start), Traffic::Burst);
        }
        let later = start + WINDOW;
        assert_eq!(
            bursts.traffic(&account, &nth(MAX_INTERFACES), 1, later),
            Traffic::Steady,
            "there is no room for it"
        );
        assert_eq!(bursts.traffic(&account, &nth(0), 1, later), Traffic::Burst, "it is remembered");
        assert_eq!(remembered(), MAX_INTERFACES);
        assert_eq!(bursts.traffic(&account, &nth(MAX_INTERFACES), 1, start + BURST_TIMEOUT + WINDOW), Traffic::Burst);
        assert_eq!(remembered(), 2, "the others are calm");
    }
}
