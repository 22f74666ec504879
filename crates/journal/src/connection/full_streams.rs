//! The streams that have reached a limit. Only the outcomes of appends show a limit and its end.

use std::time::Duration;

use tokio::time::Instant;

use crate::{connection::storage_fault::StorageFault, streams::StreamName};

/// How long a stream counts as full after the last refused append if none succeeds. A service that is not ready may get
/// no work whose append would show that there is room again.
const LIMIT_MEMORY: Duration = Duration::from_secs(60);
/// The same if an append succeeded since. A stream that is almost full stores some messages and refuses others.
const ROOM_DELAY: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct FullStreams(Vec<Full>);

#[derive(Debug)]
struct Full {
    stream: StreamName,
    fault: StorageFault,
    /// When the broker last refused an append.
    refused_at: Instant,
    /// Whether an append succeeded since.
    has_room: bool,
}

impl FullStreams {
    /// The broker refused an append because of a limit. Returns whether this was unknown.
    pub(crate) fn refused(&mut self, stream: StreamName, fault: &StorageFault, now: Instant) -> bool {
        let full = Full { stream, fault: fault.clone(), refused_at: now, has_room: false };
        if let Some(known) = self.0.iter_mut().find(|known| known.stream == stream) {
            *known = full;
            return false;
        }
        self.0.push(full);
        true
    }

    /// The broker acknowledged an append.
    pub(crate) fn acknowledged(&mut self, stream: Option<StreamName>) {
        if let Some(full) = self.0.iter_mut().find(|full| Some(full.stream) == stream) {
            full.has_room = true;
        }
    }

    /// The limit that a stream has reached.
    pub(crate) fn fault_of(&mut self, stream: StreamName, now: Instant) -> Option<StorageFault> {
        self.0.retain(|full| {
            let memory = if full.has_room { ROOM_DELAY } else { LIMIT_MEMORY };
            now.duration_since(full.refused_at) < memory
        });
        self.0.iter().find(|full| full.stream == stream).map(|full| full.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_full_until_appends_succeed_or_a_minute_passes_without_one() {
        let (mut streams, now) = (FullStreams::default(), Instant::now());
        let fault = StorageFault::StreamFull("maximum bytes exceeded".into());
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(streams.refused(StreamName::Leads, &fault, now));
        assert!(!streams.refused(StreamName::Leads, &fault, now), "it is known");
        assert_eq!(streams.fault_of(StreamName::Parked, now), None);
        assert_eq!(streams.fault_of(StreamName::Leads, after(59)), Some(fault.clone()));

        // Room for one message is not the end of the limit.
        streams.acknowledged(Some(StreamName::Leads));
        streams.refused(StreamName::Leads, &fault, after(59));
        streams.acknowledged(Some(StreamName::Parked));
        assert_eq!(streams.fault_of(StreamName::Leads, after(118)), Some(fault.clone()));
        streams.acknowledged(Some(StreamName::Leads));
        assert_eq!(streams.fault_of(StreamName::Leads, after(63)), Some(fault.clone()));
        assert_eq!(streams.fault_of(StreamName::Leads, after(64)), None);

        streams.refused(StreamName::Leads, &fault, after(100));
        assert_eq!(streams.fault_of(StreamName::Leads, after(160)), None);
    }
}
