//! A limit on the number of open things, such as streams, in total and for each holder.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Debug)]
pub struct Shares<K> {
    max: usize,
    max_each: usize,
    open: Mutex<Open<K>>,
}

#[derive(Debug)]
struct Open<K> {
    total: usize,
    each: HashMap<K, usize>,
}

/// Counts one open thing until it is dropped.
#[derive(Debug)]
pub struct Share<K: Hash + Eq> {
    shares: Arc<Shares<K>>,
    holder: K,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// The limit of all holders together.
    Total(usize),
    /// The limit of one holder.
    Each(usize),
}

impl<K: Hash + Eq + Clone> Shares<K> {
    pub fn new(max: usize, max_each: usize) -> Arc<Self> {
        let open = Mutex::new(Open { total: 0, each: HashMap::new() });
        Arc::new(Self { max, max_each, open })
    }

    /// Opens one thing for a holder.
    ///
    /// # Errors
    /// If a limit is reached. The limit of the holder is checked first.
    pub fn take(self: &Arc<Self>, holder: &K) -> Result<Share<K>, Exceeded> {
        let mut open = self.open();
        let own = open.each.get(holder).copied().unwrap_or(0);
        if own >= self.max_each {
            return Err(Exceeded::Each(self.max_each));
        }
        if open.total >= self.max {
            return Err(Exceeded::Total(self.max));
        }
        open.total += 1;
        open.each.insert(holder.clone(), own + 1);
        drop(open);
        Ok(Share { shares: Arc::clone(self), holder: holder.clone() })
    }
}

impl<K> Shares<K> {
    fn open(&self) -> MutexGuard<'_, Open<K>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        let mut open = self.shares.open();
        open.total -= 1;
        if let Some(own) = open.each.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                open.each.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_holder_and_all_together_have_a_limit() {
        let shares = Shares::new(3, 2);
        let first = shares.take(&"a").unwrap();
        let second = shares.take(&"a").unwrap();
        assert_eq!(shares.take(&"a").unwrap_err(), Exceeded::Each(2));
        let third = shares.take(&"b").unwrap();
        assert_eq!(shares.take(&"b").unwrap_err(), Exceeded::Total(3));
        drop(first);
        let fourth = shares.take(&"b").unwrap();
        drop((second, third, fourth));
        assert!(shares.open().each.is_empty());
        assert_eq!(shares.open().total, 0);
    }
}
