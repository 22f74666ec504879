//! A cache with a maximum size and age. The oldest entry is evicted first, even if it was read just now.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;
use tokio::time::Instant;

/// The cache is simple and fast, because each attempt reads it.
#[derive(Debug)]
pub(crate) struct FifoCache<K: Hash + Eq, V> {
    contents: Mutex<Contents<K, V>>,
    /// The maximum total weight.
    max_weight: usize,
    max_age: Duration,
}

#[derive(Debug)]
struct Contents<K: Hash + Eq, V> {
    entries: LruCache<K, Entry<V>>,
    weight: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    since: Instant,
}

impl<K: Hash + Eq, V: Clone> FifoCache<K, V> {
    /// A cache of values with a total weight of at most `max_weight`, each for at most `max_age`.
    pub(crate) fn new(max_weight: usize, max_age: Duration) -> Self {
        Self { contents: Mutex::new(Contents { entries: LruCache::unbounded(), weight: 0 }), max_weight, max_age }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let contents = self.contents();
        // Not `get`, which would move the entry to the end.
        let entry = contents.entries.peek(key)?;
        (entry.since.elapsed() < self.max_age).then(|| entry.value.clone())
    }

    /// Stores the value that `value` computes from the previous value of the key.
    pub(crate) fn put(&self, key: K, weight: usize, value: impl FnOnce(Option<V>) -> V) {
        let (mut contents, now) = (self.contents(), Instant::now());
        let before = contents.remove(&key);
        let value = value(before);
        contents.weight += weight;
        contents.entries.push(key, Entry { value, weight, since: now });
        while let Some((_, oldest)) = contents.entries.peek_lru()
            && (contents.weight > self.max_weight || now.duration_since(oldest.since) >= self.max_age)
        {
            contents.weight -= oldest.weight;
            contents.entries.pop_lru();
        }
    }

    pub(crate) fn forget(&self, key: &K) {
        self.contents().remove(key);
    }

    fn contents(&self) -> MutexGuard<'_, Contents<K, V>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> Contents<K, V> {
    fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.pop(key)?;
        self.weight -= entry.weight;
        Some(entry.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_entries_are_evicted_by_weight_and_by_age() {
        let recent = FifoCache::new(10, Duration::from_secs(60));
        for key in 0..4 {
            recent.put(key, 3, |before| before.unwrap_or(key));
            assert_eq!(recent.get(&0), (key < 3).then_some(0), "reading an entry does not keep it");
        }
        assert_eq!([1, 2, 3].map(|key| recent.get(&key)), [Some(1), Some(2), Some(3)]);
        recent.put(1, 3, |before| before.unwrap_or_default() + 10);
        recent.put(4, 3, |_| 4);
        assert_eq!([1, 2, 3, 4].map(|key| recent.get(&key)), [Some(11), None, Some(3), Some(4)]);
        recent.forget(&3);
        recent.put(5, 4, |_| 5);
        assert_eq!(
            [1, 4, 5].map(|key| recent.get(&key)),
            [Some(11), Some(4), Some(5)],
            "a removed entry weighs nothing"
        );
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(recent.get(&5), None);
        recent.put(6, 1, |_| 6);
        let left = |recent: &FifoCache<_, _>| recent.contents().entries.len();
        assert_eq!(left(&recent), 1);
        recent.put(7, 11, |_| 7);
        assert_eq!(left(&recent), 0, "a value that is too heavy is not kept");
    }
}
