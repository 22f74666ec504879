//! A counter whose guards count until they are dropped. Callers can wait until the count is below a limit.

use std::sync::Arc;

use tokio::sync::watch;

#[derive(Debug, Default)]
pub(crate) struct Counter {
    count: watch::Sender<usize>,
    whole: Option<Arc<Counter>>,
}

/// Counts as one until it is dropped.
#[derive(Debug)]
pub(crate) struct CountGuard(Arc<Counter>);

impl Counter {
    /// A counter whose guards also count in `whole`.
    pub(crate) fn part_of(whole: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { count: watch::Sender::default(), whole: Some(Arc::clone(whole)) })
    }

    pub(crate) fn add(self: &Arc<Self>) -> CountGuard {
        self.one_more();
        CountGuard(Arc::clone(self))
    }

    fn one_more(&self) {
        if let Some(whole) = &self.whole {
            whole.one_more();
        }
        // No caller waits for a higher count.
        self.count.send_if_modified(|count| {
            *count += 1;
            false
        });
    }

    /// The whole counts down first, because a task that waits for the part reads the whole when it wakes up.
    fn one_less(&self) {
        if let Some(whole) = &self.whole {
            whole.one_less();
        }
        // A task that subscribes after this check reads the new count.
        self.count.send_if_modified(|count| {
            *count -= 1;
            self.count.receiver_count() > 0
        });
    }

    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until the count is below `max`. Cancel-safe.
    pub(crate) async fn fewer_than(&self, max: usize) {
        // `wait_for` fails only if the sender is dropped, and `self` holds it.
        let _ = self.count.subscribe().wait_for(|count| *count < max).await;
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.one_less();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn waiters_continue_when_a_guard_is_dropped() {
        let counter = Arc::new(Counter::default());
        let (first, second) = (counter.add(), counter.add());
        assert_eq!(counter.count(), 2);
        let mut waiting = std::pin::pin!(counter.fewer_than(2));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        drop(first);
        assert_eq!((waiting.now_or_never(), counter.fewer_than(1).now_or_never()), (Some(()), None));
        drop(second);
        assert_eq!(counter.fewer_than(1).now_or_never(), Some(()));
    }

    #[test]
    fn guards_of_a_part_count_in_the_whole() {
        let whole = Arc::new(Counter::default());
        let (one, other) = (Counter::part_of(&whole), Counter::part_of(&whole));
        let counted = (one.add(), other.add(), other.add());
        assert_eq!((one.count(), other.count(), whole.count()), (1, 2, 3));
        drop(counted.1);
        assert_eq!((one.count(), other.count(), whole.count()), (1, 1, 2));
    }
}
