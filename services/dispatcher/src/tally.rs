//! How many of something there are, each counted until its guard is dropped, and waiting until they are fewer.

use std::sync::Arc;

use tokio::sync::watch;

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Tally(watch::Sender<usize>);

/// One of them.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Tally>);

impl Tally {
    /// One more.
    pub(crate) fn add(self: &Arc<Self>) -> Counted {
        // Nobody waits for there to be more.
        self.0.send_if_modified(|count| {
            *count += 1;
            false
        });
        Counted(Arc::clone(self))
    }

    pub(crate) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until there are fewer than so many. Safe to cancel.
    pub(crate) async fn fewer_than(&self, most: usize) {
        // It cannot fail: the sender is here.
        let _ = self.0.subscribe().wait_for(|count| *count < most).await;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Whoever begins to wait after this has looked sees the new count.
        self.0.0.send_if_modified(|count| {
            *count -= 1;
            self.0.0.receiver_count() > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn whoever_waits_for_fewer_goes_on_when_one_is_dropped() {
        let tally = Arc::new(Tally::default());
        let (first, second) = (tally.add(), tally.add());
        assert_eq!(tally.count(), 2);
        let mut waiting = std::pin::pin!(tally.fewer_than(2));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!((waiting.now_or_never(), tally.fewer_than(1).now_or_never()), (Some(()), None));
        drop(second);
        assert_eq!(tally.fewer_than(1).now_or_never(), Some(()));
    }
}
