//! The keys that a process works on, so that a redelivery does not start the same work a second time.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub struct KeysInFlight<K> {
    keys: Mutex<HashSet<K>>,
}

/// Work on one key is in flight until this is dropped.
#[derive(Debug)]
pub struct Begun<'a, K: Eq + Hash> {
    all: &'a KeysInFlight<K>,
    key: K,
}

impl<K> Default for KeysInFlight<K> {
    fn default() -> Self {
        Self { keys: Mutex::default() }
    }
}

impl<K: Eq + Hash + Copy> KeysInFlight<K> {
    /// Starts work on a key; `None` if work on it is in flight.
    pub fn begin(&self, key: K) -> Option<Begun<'_, K>> {
        // No `Begun` may be created while the lock is held, not even to be discarded: its drop takes the lock too, and
        // would end the work that is in flight.
        let is_new = self.keys().insert(key);
        is_new.then(|| Begun { all: self, key })
    }
}

impl<K> KeysInFlight<K> {
    fn keys(&self) -> MutexGuard<'_, HashSet<K>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Begun<'_, K> {
    fn drop(&mut self) {
        self.all.keys().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_in_flight_does_not_begin_again_until_it_ends() {
        let in_flight = KeysInFlight::default();
        let first = in_flight.begin(1);
        assert!(first.is_some());
        for _ in 0..2 {
            assert!(in_flight.begin(1).is_none(), "also after an earlier refusal");
        }
        assert!(in_flight.begin(2).is_some());
        drop(first);
        assert!(in_flight.begin(1).is_some());
    }
}
