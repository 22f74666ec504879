//! Flush hints: a caller waits for the facts of a stream, so the projector writes them soon.

use journal::StreamName;
use tokio::sync::broadcast;

/// The number of unread hints that are kept: more than one, because a caller may wait for several streams at a time.
const CAPACITY: usize = 16;

/// Passes flush hints to the projectors of this process. Projectors of other processes do not receive them, and gather
/// a batch for the usual time.
#[derive(Debug, Clone)]
pub struct FlushHints(broadcast::Sender<StreamName>);

impl Default for FlushHints {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl FlushHints {
    /// Sends a flush hint. Only a projector that is gathering a batch receives it, so a caller repeats it while it
    /// waits.
    pub fn request(&self, stream: StreamName) {
        // Without a projector that is gathering, there is no receiver, and the channel reports an error.
        let _listeners = self.0.send(stream).unwrap_or(0);
    }

    /// Waits for a flush hint for a stream. Also returns if hints were lost, because one of them may have been for it.
    pub async fn requested(&self, stream: StreamName) {
        let mut hints = self.0.subscribe();
        while hints.recv().await.is_ok_and(|hint| hint != stream) {}
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_projector_hears_hints_for_its_stream_while_it_gathers() {
        let flush_hints = FlushHints::default();
        flush_hints.request(StreamName::Deliveries);
        let mut of_deliveries = Box::pin(flush_hints.requested(StreamName::Deliveries));
        assert_eq!((&mut of_deliveries).now_or_never(), None);
        flush_hints.request(StreamName::Leads);
        assert_eq!((&mut of_deliveries).now_or_never(), None);
        flush_hints.request(StreamName::Deliveries);
        assert_eq!((&mut of_deliveries).now_or_never(), Some(()));
    }
}
