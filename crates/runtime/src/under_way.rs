//! What a process is at, so that what comes again meanwhile is not begun a second time.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The things that are under way.
#[derive(Debug)]
pub struct UnderWay<K> {
    keys: Mutex<HashSet<K>>,
}

/// One thing is under way as long as this lives.
#[derive(Debug)]
pub struct Begun<'a, K: Eq + Hash> {
    all: &'a UnderWay<K>,
    key: K,
}

impl<K> Default for UnderWay<K> {
    fn default() -> Self {
        Self { keys: Mutex::default() }
    }
}

impl<K: Eq + Hash + Copy> UnderWay<K> {
    /// Begins something, unless it is under way.
    pub fn begin(&self, key: K) -> Option<Begun<'_, K>> {
        // Nothing that ends may be made, and be it to be thrown away, while the lock is held: its end takes the lock, too,
        // and would end what is under way.
        let is_new = self.keys().insert(key);
        is_new.then(|| Begun { all: self, key })
    }
}

impl<K> UnderWay<K> {
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
    fn what_is_under_way_is_not_begun_again_until_it_has_ended() {
        let under_way = UnderWay::default();
        let first = under_way.begin(1);
        assert!(first.is_some());
        for _ in 0..2 {
            assert!(under_way.begin(1).is_none(), "also when it was asked for before");
        }
        assert!(under_way.begin(2).is_some());
        drop(first);
        assert!(under_way.begin(1).is_some());
    }
}
