//! Flush hints: a caller waits for the facts of a stream, so the projector writes them soon.

use journal::StreamName;
use tokio::sync::broadcast;

/// There is more than one place only for callers that wait for several streams at a time.
const CAPACITY: usize = 16;

/// Passes flush hints to the projectors of this process. The projectors of other processes gather as long as usual.
#[derive(Debug, Clone)]
pub struct Awaited(broadcast::Sender<StreamName>);

impl Default for Awaited {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Awaited {
    /// Sends a flush hint. Only a projector that gathers now hears it, so the caller repeats it while it waits.
    pub fn hurry(&self, stream: StreamName) {
        // There is no listener while no projector gathers.
        let _listeners = self.0.send(stream).unwrap_or(0);
    }

    /// Waits for a flush hint for a stream. Also returns if hints were lost, because one of them may have been for it.
    pub async fn hurried(&self, stream: StreamName) {
        let mut said = self.0.subscribe();
        while said.recv().await.is_ok_and(|awaited| awaited != stream) {}
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn who_gathers_hears_of_his_stream_and_only_from_then_on() {
        let awaited = Awaited::default();
        awaited.hurry(StreamName::Deliveries);
        let mut of_deliveries = Box::pin(awaited.hurried(StreamName::Deliveries));
        assert_eq!((&mut of_deliveries).now_or_never(), None);
        awaited.hurry(StreamName::Leads);
        assert_eq!((&mut of_deliveries).now_or_never(), None);
        awaited.hurry(StreamName::Deliveries);
        assert_eq!((&mut of_deliveries).now_or_never(), Some(()));
    }
}
