//! Metrics of the broker as its client sees it, named by the semantic conventions for messaging.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use runtime::{
    metrics::{self, Counters, Histograms, KeyValue, OPERATION_SECONDS},
    trace::{self, TraceContext},
};

use crate::{consume::spec::Lifetime, error::JournalError, streams::StreamName};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Publish {
    stream: &'static str,
    /// `None` if the broker has stored the message.
    error: Option<&'static str>,
}

/// A consumer whose messages are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Consumer {
    stream: &'static str,
    name: Arc<str>,
}

static PUBLISHES: LazyLock<Histograms<Publish>> = LazyLock::new(|| {
    let description = "Time until the broker has acknowledged a message";
    Histograms::new("messaging.client.operation.duration", OPERATION_SECONDS, description, |publish: &Publish| {
        let mut attributes = vec![
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.operation.name", "publish"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", publish.stream),
        ];
        attributes.extend(publish.error.map(|error| KeyValue::new("error.type", error)));
        attributes
    })
});

static CONSUMED: LazyLock<Counters<Consumer>> = LazyLock::new(|| {
    let description = "Messages that the broker delivered to a consumer";
    Counters::new("messaging.client.consumed.messages", "{message}", description, |consumer: &Consumer| {
        vec![
            KeyValue::new("messaging.system", "nats"),
            KeyValue::new("messaging.operation.name", "fetch"),
            KeyValue::new("messaging.destination.name", consumer.stream),
            KeyValue::new("messaging.consumer.group.name", Arc::clone(&consumer.name)),
        ]
    })
});

static RECONNECTS: LazyLock<Counters<()>> = LazyLock::new(|| {
    let description = "Connections to the broker after one was lost";
    Counters::new("leadline.broker.reconnects", "{connection}", description, |()| vec![])
});

/// Records the result of storing a message.
pub(crate) fn published<T>(
    stream: Option<StreamName>,
    took: Duration,
    stored: &Result<T, JournalError>,
    trace: Option<&TraceContext>,
) {
    let error = stored.as_ref().err().map(kind);
    let stream = stream.map_or("_OTHER", StreamName::as_str);
    PUBLISHES.record(&Publish { stream, error }, took, trace);
}

/// Marks the span of a message that is not stored. A lost race is not a failure: its caller reads the fact that was
/// stored first.
pub(crate) fn not_stored(error: &JournalError) {
    if !matches!(error, JournalError::LostRace) {
        trace::not_stored(kind(error));
    }
}

const fn kind(error: &JournalError) -> &'static str {
    match error {
        JournalError::LostRace => "lost_race",
        JournalError::CannotStore(_) => "cannot_store",
        JournalError::Unavailable { .. } => "unavailable",
        _ => "refused",
    }
}

impl Consumer {
    /// The consumers of lanes count as one, because there may be many.
    pub(crate) fn new(stream: StreamName, name: &str, lifetime: Lifetime) -> Self {
        let name = match lifetime {
            Lifetime::Durable => name.into(),
            Lifetime::UnusedFor(_) => "lanes".into(),
        };
        Self { stream: stream.as_str(), name }
    }

    pub(crate) fn received(&self) {
        CONSUMED.add(self, 1);
    }
}

/// Observes whether the broker is connected.
pub(crate) fn observe_connection(is_connected: Arc<AtomicBool>) {
    // Registers the counter, so that its rate begins with the first reconnection.
    RECONNECTS.add(&(), 0);
    metrics::meter()
        .u64_observable_gauge("leadline.broker.connected")
        .with_description("Whether the process has a connection to the broker")
        .with_callback(move |observer| observer.observe(u64::from(is_connected.load(Ordering::Relaxed)), &[]))
        .build();
}

pub(crate) fn reconnected() {
    RECONNECTS.add(&(), 1);
}
