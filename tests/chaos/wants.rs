//! What is published, and who wants it.

use std::time::Duration;

use api::duration_to_api;

use crate::plan::Seeded;

/// An account whose events go to their destinations as they come.
pub(crate) const PLAIN: &str = "plain";
/// An account with a destination that keeps the order of each lead's events.
pub(crate) const ORDERED: &str = "ordered";
pub(crate) const INTERFACE: &str = "form";

const CREATED: &str = "lead.created";
const LIMITED: &str = "lead.limited";
const REFUSED: &str = "lead.refused";
const HELD: &str = "lead.held";
/// In how many leads a publisher's events of the account that keeps order are.
const LEADS_IN_ORDER: usize = 8;

/// A lead event that is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) account: &'static str,
    pub(crate) lead: String,
    pub(crate) kind: &'static str,
}

impl Event {
    /// The event with this number, of those of one publisher. Of each lead one publisher alone publishes, one event after
    /// another, so that their order is known.
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

/// How a receiver behaves, as far as it is not killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes everything.
    Takes,
    /// Refuses some requests, resets the connections of others, and takes the rest.
    Flaky,
    /// Takes everything, and takes its time.
    Slow,
    /// A process of its own, that is not there at first.
    Late,
    /// Asks for a pause when too much comes.
    Limited,
    /// Takes nothing, ever.
    Refuses,
}

/// How each delivery to a destination has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    Held,
}

/// A destination, and what has to become of its deliveries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want {
    pub(crate) name: &'static str,
    pub(crate) account: &'static str,
    /// The type of the events that it wants; none: all.
    pub(crate) kind: Option<&'static str>,
    pub(crate) manner: Manner,
    pub(crate) ends: Ending,
    /// Nothing but a death keeps its deliveries waiting.
    pub(crate) is_prompt: bool,
    pub(crate) keeps_order: bool,
}

const USUAL: Want = Want {
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
    Want { name: "healthy", is_prompt: true, ..USUAL },
    Want { name: "flaky", manner: Manner::Flaky, ..USUAL },
    Want { name: "slow", manner: Manner::Slow, kind: Some(CREATED), ..USUAL },
    Want { name: "late", manner: Manner::Late, kind: Some(CREATED), ..USUAL },
    Want { name: "limited", manner: Manner::Limited, kind: Some(LIMITED), ..USUAL },
    Want { name: "refusing", manner: Manner::Refuses, kind: Some(REFUSED), ends: Ending::Failed, ..USUAL },
    Want { name: "held", kind: Some(HELD), ends: Ending::Held, ..USUAL },
    Want { name: "in-order", account: ORDERED, manner: Manner::Flaky, keeps_order: true, ..USUAL },
    Want { name: "beside", account: ORDERED, is_prompt: true, ..USUAL },
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

    /// Patience enough for whatever happens to a receiver in a run; none for the one that never takes anything.
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
    fn every_destination_wants_something_and_not_everything() {
        let events: Vec<_> = (0..1_000).map(|number| Event::new(1, number % 4, number)).collect();
        for want in WANTS {
            let wanted = events.iter().filter(|event| want.wants(event)).count();
            assert!((20..800).contains(&wanted), "{}: {wanted}", want.name);
        }
    }
}
