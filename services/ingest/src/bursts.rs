//! Which events come in bursts.
//!
//! Events are routed in the order in which they are stored, and more can be stored in a second than delivered. So that
//! the many events of one interface do not stand before the few of others, they are told apart: those of a burst are
//! routed when no others wait.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::{AccountId, InterfaceId};
use journal::Traffic;

/// How long events are counted together.
const WINDOW: Duration = Duration::from_secs(1);
/// How long the events of an interface count as a burst after it had too many: its next ones do not overtake these.
const CALM: Duration = Duration::from_secs(10);
/// How many interfaces are remembered before those are forgotten that are calm.
const MANY: usize = 10_000;

/// How much comes in from each interface.
#[derive(Debug)]
pub(crate) struct Bursts {
    above: u32,
    flows: Mutex<HashMap<(AccountId, InterfaceId), Flow>>,
}

#[derive(Debug)]
struct Flow {
    since: Instant,
    events: u32,
    burst_until: Option<Instant>,
}

impl Bursts {
    /// More than so many events of an interface in a second are a burst.
    pub(crate) fn new(above: u32) -> Self {
        Self { above, flows: Mutex::default() }
    }

    /// Counts an event.
    pub(crate) fn traffic(&self, account: &AccountId, interface: &InterfaceId, now: Instant) -> Traffic {
        let mut flows = self.flows.lock().unwrap_or_else(PoisonError::into_inner);
        if flows.len() >= MANY {
            flows.retain(|_, flow| now.duration_since(flow.since) < CALM + WINDOW);
        }
        let flow = flows.entry((account.clone(), interface.clone()));
        let flow = flow.or_insert(Flow { since: now, events: 0, burst_until: None });
        if now.duration_since(flow.since) >= WINDOW {
            (flow.since, flow.events) = (now, 0);
        }
        flow.events = flow.events.saturating_add(1);
        if flow.events > self.above {
            flow.burst_until = Some(now + CALM);
        }
        if flow.burst_until.is_some_and(|until| now < until) { Traffic::Burst } else { Traffic::Steady }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_a_burst_until_it_has_been_calm_for_a_while() {
        let (bursts, start) = (Bursts::new(2), Instant::now());
        let account = AccountId::parse("acme").unwrap();
        let [loud, quiet] = ["loud", "quiet"].map(|id| InterfaceId::parse(id).unwrap());
        let at = |interface, ms| bursts.traffic(&account, interface, start + Duration::from_millis(ms));
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
        assert_eq!(at(&quiet, 11_899), Traffic::Steady, "another one has its own");
    }

    #[test]
    fn only_so_many_interfaces_are_remembered() {
        let (bursts, start) = (Bursts::new(1), Instant::now());
        let account = AccountId::parse("acme").unwrap();
        for n in 0..MANY + 10 {
            let interface = InterfaceId::parse(&format!("i{n}")).unwrap();
            bursts.traffic(&account, &interface, start + CALM.saturating_mul(u32::try_from(n / (MANY / 2)).unwrap()));
        }
        assert!(bursts.flows.lock().unwrap().len() <= MANY);
    }
}
