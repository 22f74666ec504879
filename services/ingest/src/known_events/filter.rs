//! The filter of known event ids: which event ids are surely unknown.
//!
//! It holds the ids of all events that were stored until a certain moment, as a Bloom filter: about 2.4 bytes for each
//! id. An id that it does not hold is surely unknown, unless its event was stored after that moment. While the moment
//! is recent, the broker recognises such an event within its deduplication window. An id that the filter seems to hold
//! may be unknown all the same, so query has to be asked.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bloomfilter::Bloom;
use uuid::Uuid;

/// The share of unknown ids that each part seems to hold. One question delays all events of a request, and requests have
/// hundreds.
const FALSE_POSITIVES: f64 = 0.000_1;
/// The numbers of ids in the parts of a filter. A part is added when the one before is full, so that few ids take
/// little memory. All parts together take 100 MiB.
const PARTS: [u64; 4] = [1 << 17, 1 << 20, 1 << 23, 1 << 25];
/// The number of ids at which the filter, which is overfull then, spares few questions.
pub(super) const MAX_IDS: u64 = 1 << 27;
/// Ranges of own events that are noted, at most. Events of further ranges are read again.
const MAX_RANGES: usize = 1_000;
/// Missing ranges that are no further apart are read as one: reading a few hundred own events again costs less than
/// another consumer.
const MAX_GAP: u64 = 500;

/// The filter, and what of LEADS is in it. Publishers and the follower share it.
#[derive(Debug, Default)]
pub(super) struct Filter(Mutex<Option<Gathered>>);

#[derive(Debug, Default)]
struct Gathered {
    ids: Ids,
    own: Sequences,
    /// `None` until the first ids are complete.
    complete: Option<Complete>,
}

/// The ids of all events that were stored before `since` are in the filter.
#[derive(Debug, Clone, Copy)]
struct Complete {
    since: Instant,
    valid_for: Duration,
}

impl Filter {
    /// Starts anew, with the ids that are added from now on.
    pub(super) fn start(&self) {
        *self.lock() = Some(Gathered::default());
    }

    /// Gives the memory back. Each id may be known until the next start.
    pub(super) fn stop(&self) {
        *self.lock() = None;
    }

    /// Whether the event of this id may be stored already, apart from what the broker recognises.
    pub(super) fn may_know(&self, id: &str, now: Instant) -> bool {
        let gathered = self.lock();
        let Some(Gathered { ids, complete: Some(complete), .. }) = &*gathered else { return true };
        now.saturating_duration_since(complete.since) >= complete.valid_for || ids.may_have(id)
    }

    /// Adds ids. Returns their number.
    pub(super) fn add<'a>(&self, added: impl IntoIterator<Item = &'a str>) -> u64 {
        let mut gathered = self.lock();
        let Some(gathered) = &mut *gathered else { return 0 };
        added.into_iter().for_each(|id| gathered.ids.add(id));
        gathered.ids.count
    }

    /// Adds the id of an event that this process stored, and notes its sequence. The id may have been added before the
    /// last start.
    pub(super) fn own(&self, id: &str, sequence: u64) {
        if let Some(gathered) = &mut *self.lock() {
            gathered.ids.add(id);
            gathered.own.add(sequence);
        }
    }

    /// The sequences of LEADS, up to one, whose ids may be missing.
    pub(super) fn missing(&self, after: u64, to: u64) -> Vec<RangeInclusive<u64>> {
        self.lock().as_ref().map_or_else(Vec::new, |gathered| gathered.own.missing(after, to))
    }

    /// Says that no id of LEADS up to a sequence is missing, which was the last one at a moment, and for how long an
    /// event that was stored later is recognised by the broker.
    pub(super) fn complete(&self, to: u64, since: Instant, valid_for: Duration) {
        if let Some(gathered) = &mut *self.lock() {
            gathered.own.forget(to);
            gathered.complete = Some(Complete { since, valid_for });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Gathered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set of ids that grows. It may seem to have an id that it has not.
#[derive(Debug, Default)]
struct Ids {
    parts: Vec<Bloom<str>>,
    count: u64,
    /// The number of ids at which the last part is full.
    full_at: u64,
}

impl Ids {
    fn add(&mut self, id: &str) {
        if self.may_have(id) {
            return;
        }
        if self.count >= self.full_at
            && let Some(&ids) = PARTS.get(self.parts.len())
        {
            self.parts.push(part(ids));
            self.full_at += ids;
        }
        if let Some(last) = self.parts.last_mut() {
            last.set(id);
            self.count += 1;
        }
    }

    fn may_have(&self, id: &str) -> bool {
        self.parts.iter().any(|part| part.check(id))
    }
}

fn part(ids: u64) -> Bloom<str> {
    let ids = usize::try_from(ids).unwrap_or(usize::MAX);
    // A publisher that knows the seed could name ids that are asked for again and again.
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Bloom::new_for_fp_rate_with_seed(ids, FALSE_POSITIVES, &seed).expect("the number of ids is one of PARTS")
}

/// Sequences, as ranges: their first ones and last ones.
#[derive(Debug, Default)]
struct Sequences(BTreeMap<u64, u64>);

impl Sequences {
    fn add(&mut self, sequence: u64) {
        let before = self.0.range(..=sequence).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| last >= sequence) {
            return;
        }
        let last = self.0.remove(&(sequence + 1)).unwrap_or(sequence);
        let first = before.filter(|(_, last)| last + 1 == sequence).map_or(sequence, |(first, _)| first);
        if self.0.contains_key(&first) || self.0.len() < MAX_RANGES {
            self.0.insert(first, last);
        }
    }

    /// The ranges between two sequences without these sequences. The first sequence is not in them, the last one may be.
    fn missing(&self, after: u64, to: u64) -> Vec<RangeInclusive<u64>> {
        let mut missing: Vec<RangeInclusive<u64>> = vec![];
        let mut next = after + 1;
        for (&first, &last) in self.0.iter().chain([(&(to + 1), &(to + 1))]) {
            if next < first.min(to + 1) {
                let end = (first - 1).min(to);
                match missing.last_mut() {
                    Some(before) if next - before.end() <= MAX_GAP => *before = *before.start()..=end,
                    _ => missing.push(next..=end),
                }
            }
            next = next.max(last + 1);
        }
        missing
    }

    fn forget(&mut self, to: u64) {
        self.0.retain(|_, last| *last > to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: Duration = Duration::from_secs(300);

    fn id(n: u64) -> String {
        format!("acme/order-{n}")
    }

    #[test]
    fn an_id_is_unknown_only_while_all_ids_of_the_past_are_there() {
        let (filter, now) = (Filter::default(), Instant::now());
        assert!(filter.may_know("acme/e1", now), "nothing is known yet");
        filter.start();
        filter.add(["acme/e1"]);
        assert!(filter.may_know("acme/e2", now), "ids of the past are missing");
        filter.complete(1, now, VALID);
        assert!(filter.may_know("acme/e1", now) && !filter.may_know("acme/e2", now));
        // The window of the broker does not reach back so far.
        assert!(filter.may_know("acme/e2", now + VALID));
        filter.complete(1, now + VALID, VALID);
        assert!(!filter.may_know("acme/e2", now + VALID));
        filter.stop();
        assert!(filter.may_know("acme/e2", now));
    }

    #[test]
    fn an_event_that_was_under_way_at_the_start_is_known() {
        let (filter, now) = (Filter::default(), Instant::now());
        filter.add(["acme/e1"]);
        filter.start();
        filter.own("acme/e1", 7);
        assert_eq!(filter.missing(6, 7), []);
        filter.complete(7, now, VALID);
        assert!(filter.may_know("acme/e1", now));
    }

    #[test]
    fn no_id_is_lost_and_few_others_seem_to_be_there_while_parts_are_added() {
        const ADDED: u64 = PARTS[0] * 2;
        let mut ids = Ids::default();
        (0..ADDED).for_each(|n| ids.add(&id(n)));
        assert_eq!(ids.parts.len(), 2);
        assert!((0..ADDED).all(|n| ids.may_have(&id(n))));
        let wrong = (ADDED..ADDED + 100_000).filter(|&n| ids.may_have(&id(n))).count();
        assert!(wrong < 100, "{wrong} of 100,000");
    }

    #[test]
    fn what_others_stored_is_missing_and_what_this_process_stored_is_not() {
        let mut own = Sequences::default();
        assert_eq!(own.missing(3, 3), []);
        assert_eq!(own.missing(3, 5), [4..=5]);
        // Acknowledgements arrive in any order.
        for sequence in [1_004, 1_001, 1_003, 1_002, 1_003, 2_005, 2_004] {
            own.add(sequence);
        }
        assert_eq!(own.0.len(), 2);
        assert_eq!(own.missing(1_000, 1_004), []);
        assert_eq!(own.missing(1_000, 1_003), []);
        // Ranges near each other are read as one, with what lies between.
        assert_eq!(own.missing(999, 1_007), [1_000..=1_007]);
        assert_eq!(own.missing(10, 3_000), [11..=3_000]);
        (5_000..=6_000).for_each(|sequence| own.add(sequence));
        assert_eq!(own.missing(4_990, 6_010), [4_991..=4_999, 6_001..=6_010]);
        own.forget(2_005);
        assert_eq!(own.missing(4_999, 6_000), []);
        assert_eq!(own.0.len(), 1);
        (0..5_000).for_each(|n| own.add(10_000 + 2 * n));
        assert_eq!(own.0.len(), MAX_RANGES);
    }
}
