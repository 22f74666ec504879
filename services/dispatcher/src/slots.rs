//! How many requests are under way at one destination: from their beginning until the receiver has answered.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many attempts whose request was answered may wait for what follows to be stored. A receiver has nothing to do with
/// that, so it does not count as a request; but when the broker is away there has to be an end.
const MOST_RECORDING: usize = 512;

/// The requests under way at a destination.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    taken: AtomicUsize,
    freed: Notify,
}

/// One request under way, until this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn take(self: &Arc<Self>) -> Slot {
        self.taken.fetch_add(1, Ordering::Relaxed);
        Slot(Arc::clone(self))
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Of so many that may be under way, how many may begin now, if so many attempts have not ended.
    pub(crate) fn free(&self, allowed: usize, attempts: usize) -> usize {
        let taken = self.taken();
        allowed.saturating_sub(taken).min(MOST_RECORDING.saturating_sub(attempts.saturating_sub(taken)))
    }

    /// Waits until another request is answered.
    pub(crate) async fn freed(&self) {
        self.freed.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_makes_room_unless_too_much_of_it_is_not_stored() {
        let slots = Arc::new(Slots::default());
        let (first, _second) = (slots.take(), slots.take());
        assert_eq!((slots.taken(), slots.free(3, 2), slots.free(1, 2)), (2, 1, 0));
        drop(first);
        assert_eq!((slots.taken(), slots.free(3, 2)), (1, 2));
        assert_eq!((slots.free(3, 1 + MOST_RECORDING - 1), slots.free(3, 1 + MOST_RECORDING)), (1, 0));
    }
}
