//! The ledger of a run: accepted events, received requests and outages.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::expectations::{Ending, Event, WANTS, Want};

/// How long the outcome of a request may take to be stored: lane, receiver and broker share two cores with everything
/// else.
const RECORDING: Duration = Duration::from_secs(2);

/// A request that a receiver got.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receipt {
    pub(crate) at: Instant,
    /// Whether the receiver accepted the request, even if its answer was lost.
    pub(crate) taken: bool,
}

/// The time that a killed process was away.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) who: String,
    pub(crate) from: Instant,
    /// When it was started again.
    pub(crate) started: Instant,
    /// When it was ready again.
    pub(crate) to: Instant,
    /// Whether no other process was away from its beginning until all events that were accepted by its end were
    /// delivered.
    pub(crate) alone: bool,
}

/// An event that a receiver accepted twice.
#[derive(Debug, Clone)]
pub(crate) struct Duplicate {
    pub(crate) destination: &'static str,
    pub(crate) event: String,
    /// The reason: a killed process, or a stored attempt without an answer. `None` if there is no known reason.
    pub(crate) because_of: Option<String>,
}

/// The ledger. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    accepted: BTreeMap<String, (Event, Instant)>,
    received: HashMap<&'static str, HashMap<String, Vec<Receipt>>>,
    /// The events that a destination accepted, in the order of their first acceptance.
    order: HashMap<&'static str, Vec<String>>,
    outages: Vec<Outage>,
    /// Events not yet accepted by prompt destinations that want them.
    awaited: HashSet<(&'static str, String)>,
}

impl Ledger {
    pub(crate) fn accepted(&self, event: &Event) {
        let now = Instant::now();
        let mut pages = self.pages();
        for want in WANTS.iter().filter(|want| want.is_prompt && want.wants(event)) {
            if !pages.took(want.name, &event.id) {
                pages.awaited.insert((want.name, event.id.clone()));
            }
        }
        pages.accepted.insert(event.id.clone(), (event.clone(), now));
    }

    /// The number of earlier requests with this event to this destination.
    pub(crate) fn times(&self, destination: &'static str, event: &str) -> usize {
        self.pages().receipts(destination, event).len()
    }

    pub(crate) fn received(&self, destination: &'static str, event: &str, receipt: Receipt) {
        let mut pages = self.pages();
        if receipt.taken && !pages.took(destination, event) {
            pages.order.entry(destination).or_default().push(event.to_owned());
            pages.awaited.remove(&(destination, event.to_owned()));
        }
        pages.received.entry(destination).or_default().entry(event.to_owned()).or_default().push(receipt);
    }

    pub(crate) fn outage(&self, outage: Outage) {
        self.pages().outages.push(outage);
    }

    pub(crate) fn outages(&self) -> Vec<Outage> {
        self.pages().outages.clone()
    }

    pub(crate) fn count_accepted(&self) -> usize {
        self.pages().accepted.len()
    }

    pub(crate) fn count_received(&self) -> usize {
        self.pages().received.values().flat_map(HashMap::values).map(Vec::len).sum()
    }

    /// The number of events, accepted before `then`, that prompt destinations still lack.
    pub(crate) fn awaited_from_before(&self, then: Instant) -> usize {
        let pages = self.pages();
        pages.awaited.iter().filter(|(_, event)| pages.accepted.get(event).is_some_and(|(_, at)| *at <= then)).count()
    }

    /// The time from `then` until prompt destinations accepted the last event that was published before.
    pub(crate) fn all_taken_after(&self, then: Instant) -> Duration {
        let pages = self.pages();
        let before = pages.accepted.values().filter(|(_, at)| *at <= then);
        let wanted = before.flat_map(|(event, _)| {
            WANTS.iter().filter(|want| want.is_prompt && want.wants(event)).map(|want| (want.name, &event.id))
        });
        let first_taken = |(destination, event): (&'static str, &String)| {
            pages.receipts(destination, event).iter().filter(|receipt| receipt.taken).map(|receipt| receipt.at).min()
        };
        wanted.filter_map(first_taken).max().map_or(Duration::ZERO, |last| last.saturating_duration_since(then))
    }

    /// All pairs of an accepted event and a destination that wants it.
    pub(crate) fn wanted(&self) -> Vec<(Want, Event)> {
        let pages = self.pages();
        let wanted_of = |want: &Want| {
            let wanted = pages.accepted.values().map(|(event, _)| event).filter(|event| want.wants(event));
            wanted.map(|event| (*want, event.clone())).collect::<Vec<_>>()
        };
        WANTS.iter().flat_map(wanted_of).collect()
    }

    /// Accepted events that a destination should have accepted and did not: destination and event.
    pub(crate) fn lost(&self) -> Vec<(&'static str, String)> {
        let lost = self.wanted().into_iter().filter(|(want, event)| self.lacks(want, event));
        lost.map(|(want, event)| (want.name, event.id)).collect()
    }

    /// Whether the destination should have got the event and did not.
    pub(crate) fn lacks(&self, want: &Want, event: &Event) -> bool {
        let pages = self.pages();
        match want.ends {
            Ending::Succeeded => !pages.took(want.name, &event.id),
            Ending::Failed => pages.receipts(want.name, &event.id).is_empty(),
            Ending::Held => false,
        }
    }

    /// Requests that should not have happened: the event was never published, is not wanted, or is held.
    pub(crate) fn unwanted(&self) -> Vec<(&'static str, String)> {
        let pages = self.pages();
        let is_wanted = |destination: &str, event: &String| {
            let want = WANTS.iter().find(|want| want.name == destination).unwrap();
            want.ends != Ending::Held && pages.accepted.get(event).is_some_and(|(event, _)| want.wants(event))
        };
        let came = pages.received.iter().flat_map(|(to, events)| events.keys().map(|event| (*to, event.clone())));
        came.filter(|(destination, event)| !is_wanted(destination, event)).collect()
    }

    /// Each repeated request after a success, with its reason.
    pub(crate) fn duplicates(&self) -> Vec<Duplicate> {
        let pages = self.pages();
        let mut duplicates = vec![];
        for (destination, events) in &pages.received {
            for (event, receipts) in events {
                let taken: Vec<_> = receipts.iter().filter(|receipt| receipt.taken).map(|receipt| receipt.at).collect();
                for pair in taken.windows(2) {
                    let because_of = explanation(&pages.outages, destination, pair[0], pair[1]);
                    duplicates.push(Duplicate { destination, event: event.clone(), because_of });
                }
            }
        }
        duplicates
    }

    /// Leads whose events were accepted out of order: destination and lead.
    pub(crate) fn out_of_order(&self) -> Vec<(&'static str, String)> {
        let pages = self.pages();
        let mut wrong = vec![];
        for want in WANTS.iter().filter(|want| want.keeps_order) {
            let mut of_leads: HashMap<&str, Vec<usize>> = HashMap::new();
            for id in pages.order.get(want.name).into_iter().flatten() {
                let Some((event, _)) = pages.accepted.get(id) else { continue };
                let number = id.rsplit('-').next().unwrap().parse().unwrap();
                of_leads.entry(&event.lead).or_default().push(number);
            }
            wrong.extend(
                of_leads.iter().filter(|(_, numbers)| !numbers.is_sorted()).map(|(l, _)| (want.name, (*l).into())),
            );
        }
        wrong
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn receipts(&self, destination: &str, event: &str) -> &[Receipt] {
        self.received.get(destination).and_then(|events| events.get(event)).map_or(&[], Vec::as_slice)
    }

    fn took(&self, destination: &str, event: &str) -> bool {
        self.receipts(destination, event).iter().any(|receipt| receipt.taken)
    }
}

/// The process that was away between the first request and the storing of its outcome. Only three can be the reason:
/// the dispatcher that made the request, the broker that stores the outcome, and the receiver, whose answer may be
/// lost.
fn explanation(outages: &[Outage], destination: &str, first: Instant, again: Instant) -> Option<String> {
    let receiver = format!("receiver {destination}");
    let concerns = |who: &str| who.starts_with("dispatcher") || who.starts_with("broker") || who == receiver;
    let around = |outage: &&Outage| outage.from <= first + RECORDING && first <= outage.to && outage.from <= again;
    outages.iter().find(|outage| concerns(&outage.who) && around(outage)).map(|outage| outage.who.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(at: Instant) -> Receipt {
        Receipt { at, taken: true }
    }

    /// A ledger without faults.
    fn good(events: usize) -> (Ledger, Vec<Event>) {
        let ledger = Ledger::default();
        let events: Vec<_> = (0..events).map(|number| Event::new(1, 0, number)).collect();
        for event in &events {
            ledger.accepted(event);
            for want in WANTS.iter().filter(|want| want.wants(event) && want.ends != Ending::Held) {
                let receipt = Receipt { at: Instant::now(), taken: want.ends == Ending::Succeeded };
                ledger.received(want.name, &event.id, receipt);
            }
        }
        (ledger, events)
    }

    fn is_good(ledger: &Ledger) -> bool {
        ledger.lost().is_empty()
            && ledger.unwanted().is_empty()
            && ledger.duplicates().is_empty()
            && ledger.out_of_order().is_empty()
    }

    #[test]
    fn ledger_without_faults_reports_none() {
        let (ledger, _) = good(200);
        assert!(is_good(&ledger));
        assert_eq!((ledger.count_accepted(), ledger.awaited_from_before(Instant::now())), (200, 0));
    }

    #[test]
    fn ledger_reports_lost_events() {
        let (ledger, events) = good(200);
        let forgotten = Event { id: "e-0-1000".into(), ..events[0].clone() };
        ledger.accepted(&forgotten);
        assert!(!ledger.lost().is_empty() && ledger.lost().iter().all(|(_, event)| *event == forgotten.id));
        assert_eq!(ledger.awaited_from_before(Instant::now()), 1);
        // A refused request is not a delivery.
        let (to, _) = ledger.lost()[0].clone();
        ledger.received(to, &forgotten.id, Receipt { at: Instant::now(), taken: false });
        assert_eq!(ledger.lost()[0].0, to);
    }

    #[test]
    fn ledger_reports_unwanted_requests() {
        let (ledger, events) = good(200);
        ledger.received("healthy", "e-9-9", taken(Instant::now()));
        let held = events.iter().find(|event| WANTS[6].wants(event)).unwrap();
        ledger.received("held", &held.id, taken(Instant::now()));
        assert_eq!(ledger.unwanted().len(), 2);
    }

    #[test]
    fn only_an_outage_at_its_time_explains_a_duplicate() {
        let (first, second) = (Instant::now(), Duration::from_secs(1));
        let again = first + 5 * second;
        let outage = |who: &str, from: Instant| Outage {
            who: who.into(),
            from,
            started: from + second,
            to: from + 2 * second,
            alone: true,
        };
        let explained = |outage: Outage| explanation(&[outage], "healthy", first, again).is_some();
        assert!(explained(outage("dispatcher 1", first + second)));
        assert!(explained(outage("broker", first - second)), "the outcome is stored only after the broker's return");
        assert!(explained(outage("receiver healthy", first)));
        assert!(!explained(outage("receiver slow", first)));
        assert!(!explained(outage("database", first)));
        assert!(!explained(outage("dispatcher 1", first + 3 * second)), "the outage began too late");
        assert!(!explained(outage("dispatcher 1", first - 3 * second)), "the outage ended before");
    }

    #[test]
    fn ledger_reports_events_out_of_order() {
        let ledger = Ledger::default();
        let number = |number| Event { id: format!("e-0-{number}"), lead: "l".into(), ..in_order() };
        for event in [number(1), number(2), number(3)] {
            ledger.accepted(&event);
        }
        for id in ["e-0-1", "e-0-2", "e-0-1", "e-0-3"] {
            ledger.received("in-order", id, taken(Instant::now()));
        }
        assert!(ledger.out_of_order().is_empty(), "a repeat does not change the order");
        let swapped = Ledger::default();
        for event in [number(1), number(2)] {
            swapped.accepted(&event);
        }
        for id in ["e-0-2", "e-0-1"] {
            swapped.received("in-order", id, taken(Instant::now()));
        }
        assert_eq!(swapped.out_of_order(), [("in-order", "l".to_owned())]);
    }

    fn in_order() -> Event {
        let events = (0..).map(|number| Event::new(1, 0, number));
        events.into_iter().find(|event| event.account == crate::expectations::ORDERED).unwrap()
    }
}
