//! Streams that somebody waits to see in the read model: their facts are not gathered any longer than they have to be.

use journal::StreamName;
use tokio::sync::broadcast;

/// More than one name is only for when several streams are awaited at a time.
const CAPACITY: usize = 16;

/// Tells who gathers facts that somebody waits for them; of one process, whoever else projects gathers as long as usual.
#[derive(Debug, Clone)]
pub(crate) struct Awaited(broadcast::Sender<StreamName>);

impl Default for Awaited {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Awaited {
    /// Says that somebody waits for a stream. It is heard by those who listen now, so it is said again while he waits.
    pub(crate) fn hurry(&self, stream: StreamName) {
        // Nobody listens while nothing is gathered.
        let _listeners = self.0.send(stream).unwrap_or(0);
    }

    /// Returns when somebody waits for a stream, or if so much was said that it is not known.
    pub(crate) async fn hurried(&self, stream: StreamName) {
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
