//! The published events, and the destinations that want them.

use std::time::Duration;

use api::duration_to_api;

use crate::plan::Seeded;

/// An account without ordered destinations.
pub(crate) const PLAIN: &str = "plain";
/// An account with an ordered destination.
pub(crate) const ORDERED: &str = "ordered";
pub(crate) const INTERFACE: &str = "form";

const CREATED: &str = "lead.created";
const LIMITED: &str = "lead.limited";
const REFUSED: &str = "lead.refused";
const HELD: &str = "lead.held";
/// The number of leads per publisher in the ordered account.
const LEADS_IN_ORDER: usize = 8;

/// A published lead event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) account: &'static str,
    pub(crate) lead: String,
    pub(crate) kind: &'static str,
}

impl Event {
    /// The event of a publisher with this number. Each lead belongs to one publisher, which publishes one event after
    /// another, so that the order is known.
    pub(crate) fn new(seed: u64, publisher: usize, number: usize) -> Self {
        let id = format!("e-{publisher}-{number}");
        let mut seeded = Seeded::of(seed, &id);
        let (account, lead) = match seeded.below(10) {
            0..3 => (ORDERED, format!("l-{publisher}-{}", number % LEADS_IN_ORDER)),
            _ => (PLAIN, format!("l-{id}")),
        };
        let kind = match seeded.below(20) {
            0 => REFUSED,
            1 => HELD,
            2..6 => LIMITED,
            _ => CREATED,
        };
        Self { id, account, lead, kind }
    }

    pub(crate) fn payload(&self) -> String {
        format!(r#"{{"name":"Ada","event":"{}"}}"#, self.id)
    }
}

/// The behaviour of a receiver while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Accepts everything.
    Takes,
    /// Refuses some requests, resets some connections, and accepts the rest.
    Flaky,
    /// Accepts everything, slowly.
    Slow,
    /// A separate process that starts late.
    Late,
    /// Asks for a pause above a rate.
    Limited,
    /// Refuses everything.
    Refuses,
}

/// The expected end of a destination's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    Held,
}

/// A destination, and the expected end of its deliveries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub(crate) name: &'static str,
    pub(crate) account: &'static str,
    /// The wanted event type; `None` if it wants all.
    pub(crate) kind: Option<&'static str>,
    pub(crate) manner: Manner,
    pub(crate) ends: Ending,
    /// Whether its deliveries wait only while a process is away.
    pub(crate) is_prompt: bool,
    pub(crate) keeps_order: bool,
}

const DEFAULT: Want = Want {
    name: "",
    account: PLAIN,
    kind: None,
    manner: Manner::Takes,
    ends: Ending::Succeeded,
    is_prompt: false,
    keeps_order: false,
};

/// The destinations of a run.
#[rustfmt::skip]
pub(crate) const WANTS: [Want; 9] = [
    Want { name: "healthy", is_prompt: true, ..DEFAULT },
    Want { name: "flaky", manner: Manner::Flaky, ..DEFAULT },
    Want { name: "slow", manner: Manner::Slow, kind: Some(CREATED), ..DEFAULT },
    Want { name: "late", manner: Manner::Late, kind: Some(CREATED), ..DEFAULT },
    Want { name: "limited", manner: Manner::Limited, kind: Some(LIMITED), ..DEFAULT },
    Want { name: "refusing", manner: Manner::Refuses, kind: Some(REFUSED), ends: Ending::Failed, ..DEFAULT },
    Want { name: "held", kind: Some(HELD), ends: Ending::Held, ..DEFAULT },
    Want { name: "in-order", account: ORDERED, manner: Manner::Flaky, keeps_order: true, ..DEFAULT },
    Want { name: "beside", account: ORDERED, is_prompt: true, ..DEFAULT },
];

impl Want {
    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.account == event.account && self.kind.is_none_or(|kind| kind == event.kind)
    }

    pub(crate) fn destination(&self, url: String) -> api::Destination {
        api::Destination {
            account_id: self.account.into(),
            name: self.name.into(),
            url,
            event_types: self.kind.map(str::to_owned).into_iter().collect(),
            timeout: Some(duration_to_api(Duration::from_secs(5))),
            retry_policy: Some(self.policy()),
            enabled: Some(self.ends != Ending::Held),
            concurrency: if self.manner == Manner::Slow { 5 } else { 0 },
            rate: if self.manner == Manner::Limited { 20 } else { 0 },
            ordered: self.keeps_order,
            ..api::Destination::default()
        }
    }

    /// A retry policy that outlasts all outages of a run; without retries for the receiver that refuses everything.
    fn policy(&self) -> api::RetryPolicy {
        let custom = if self.ends == Ending::Failed {
            api::CustomRetryPolicy::default()
        } else {
            api::CustomRetryPolicy {
                quick_count: 3,
                quick_pause: Some(duration_to_api(Duration::from_millis(200))),
                schedule: vec![duration_to_api(Duration::from_secs(1)); 20],
                ..api::CustomRetryPolicy::default()
            }
        };
        api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_destination_wants_some_events_but_not_all() {
        let events: Vec<_> = (0..1_000).map(|number| Event::new(1, number % 4, number)).collect();
        for want in WANTS {
            let wanted = events.iter().filter(|event| want.wants(event)).count();
            assert!((20..800).contains(&wanted), "{}: {wanted}", want.name);
        }
    }
}
