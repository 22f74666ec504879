//! The filter of known event ids, which recognises ids that are certainly unknown.
//!
//! It holds the ids of all events that were stored until a certain moment, as a Bloom filter: about 2.4 bytes for each
//! id. An id that it does not hold is certainly unknown, unless its event was stored after that moment. The broker
//! recognises such an event, so the filter is used only while the moment is within the deduplication window. An id that
//! the filter seems to hold may still be unknown, so query has to look it up.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bloomfilter::Bloom;
use uuid::Uuid;

/// The share of unknown ids that a part reports as known. It is low, because one question to query delays all events of
/// a request, and requests have hundreds.
const FALSE_POSITIVES: f64 = 0.000_1;
/// The number of ids that each part of a filter holds. A part is added when the previous one is full, so that few ids
/// take little memory. All parts together take 100 MiB.
const PARTS: [u64; 4] = [1 << 17, 1 << 20, 1 << 23, 1 << 25];
/// The maximum number of ids. A fuller filter would take most unknown ids for known ones.
pub(super) const MAX_IDS: u64 = 1 << 27;
/// The maximum number of ranges in which this process notes its own events. Events of further ranges are read again.
const MAX_RANGES: usize = 1_000;
/// Missing ranges with at most this gap are read as one, because reading a few hundred own events again costs less than
/// another consumer.
const MAX_GAP: u64 = 500;

/// The filter, and the part of LEADS that it covers. Publishers and the follower share it.
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
    /// Clears the filter, and collects the ids that are added from now on.
    pub(super) fn start(&self) {
        *self.lock() = Some(Gathered::default());
    }

    /// Whether ids are collected. Until a publisher names an event id, they are not.
    pub(super) fn is_started(&self) -> bool {
        self.lock().is_some()
    }

    /// Frees the memory. Until the filter is complete again, [`Self::may_know`] is true for every id.
    pub(super) fn stop(&self) {
        *self.lock() = None;
    }

    /// Whether an event with this id may be stored already, and too long ago for the broker to recognise it.
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

    /// Adds the id of an event that this process stored, and notes its sequence. The id was added when the event was
    /// sent, but [`Self::start`] may have removed it since.
    pub(super) fn own(&self, id: &str, sequence: u64) {
        if let Some(gathered) = &mut *self.lock() {
            gathered.ids.add(id);
            gathered.own.add(sequence);
        }
    }

    /// The sequences of LEADS after `after`, up to `to`, whose ids may be missing.
    pub(super) fn missing(&self, after: u64, to: u64) -> Vec<RangeInclusive<u64>> {
        self.lock().as_ref().map_or_else(Vec::new, |gathered| gathered.own.missing(after, to))
    }

    /// Notes that the filter has all ids of LEADS up to `to`, which was the last sequence at `since`. The broker
    /// recognises later events for the time `valid_for`.
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

/// A growing set of ids. It may report an id that it does not have.
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
    // The seed is random, because a publisher that knew it could choose ids that always cause questions.
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(Uuid::new_v4().as_bytes());
    seed[16..].copy_from_slice(Uuid::new_v4().as_bytes());
    Bloom::new_for_fp_rate_with_seed(ids, FALSE_POSITIVES, &seed).expect("the number of ids is one of PARTS")
}

/// A set of sequences, as ranges from a first to a last one.
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

    /// The ranges of sequences after `after`, up to and including `to`, that are not in the set.
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
    fn an_id_is_unknown_only_if_all_past_ids_are_present() {
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
    fn an_event_in_flight_at_the_start_is_known() {
        let (filter, now) = (Filter::default(), Instant::now());
        filter.add(["acme/e1"]);
        filter.start();
        filter.own("acme/e1", 7);
        assert_eq!(filter.missing(6, 7), []);
        filter.complete(7, now, VALID);
        assert!(filter.may_know("acme/e1", now));
    }

    #[test]
    fn no_id_is_lost_while_parts_are_added() {
        const ADDED: u64 = PARTS[0] * 2;
        let mut ids = Ids::default();
        (0..ADDED).for_each(|n| ids.add(&id(n)));
        assert_eq!(ids.parts.len(), 2);
        assert!((0..ADDED).all(|n| ids.may_have(&id(n))));
        let wrong = (ADDED..ADDED + 100_000).filter(|&n| ids.may_have(&id(n))).count();
        assert!(wrong < 100, "{wrong} of 100,000");
    }

    #[test]
    fn only_events_of_other_processes_are_missing() {
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
        // Near ranges are read as one, together with the gap.
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
