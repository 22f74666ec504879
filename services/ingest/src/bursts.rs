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
/// How many interfaces are remembered. When they are so many, those that are calm are forgotten, once in a [`WINDOW`];
/// meanwhile what comes from further ones is steady.
const MANY: usize = 10_000;

/// How much comes in from each interface.
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
        let key = (account.clone(), interface.clone());
        if flows.of.len() >= MANY && !flows.of.contains_key(&key) {
            if flows.swept.is_none_or(|swept| now.duration_since(swept) >= WINDOW) {
                flows.of.retain(|_, flow| now.duration_since(flow.since) < CALM + WINDOW);
                flows.swept = Some(now);
            }
            if flows.of.len() >= MANY {
                return Traffic::Steady;
            }
        }
        let flow = flows.of.entry(key).or_insert(Flow { since: now, events: 0, burst_until: None });
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
        let (bursts, start) = (Bursts::new(0), Instant::now());
        let account = AccountId::parse("acme").unwrap();
        let nth = |n: usize| InterfaceId::parse(&format!("i{n}")).unwrap();
        let remembered = || bursts.flows.lock().unwrap().of.len();
        for n in 0..MANY {
            assert_eq!(bursts.traffic(&account, &nth(n), start), Traffic::Burst);
        }
        let later = start + WINDOW;
        assert_eq!(bursts.traffic(&account, &nth(MANY), later), Traffic::Steady, "there is no room for it");
        assert_eq!(bursts.traffic(&account, &nth(0), later), Traffic::Burst, "it is remembered");
        assert_eq!(remembered(), MANY);
        assert_eq!(bursts.traffic(&account, &nth(MANY), start + CALM + WINDOW), Traffic::Burst);
        assert_eq!(remembered(), 2, "the others are calm");
    }
}
