//! Counters of accepted and refused events.

use std::sync::LazyLock;

use api::publish::PublishError;
use runtime::metrics::{Counters, KeyValue};

/// The protocol of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

static ACCEPTED: LazyLock<Counters<Protocol>> = LazyLock::new(|| {
    Counters::new("leadline.events.accepted", "{event}", "Events that are stored", |protocol: &Protocol| {
        let name = match protocol {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
        };
        vec![KeyValue::new("leadline.protocol", name)]
    })
});

static DUPLICATES: LazyLock<Counters<()>> = LazyLock::new(|| {
    Counters::new("leadline.events.duplicates", "{event}", "Events that had been stored before", |()| vec![])
});

static REFUSED: LazyLock<Counters<&'static str>> = LazyLock::new(|| {
    Counters::new("leadline.events.refused", "{event}", "Events and calls that were refused", |reason| {
        vec![KeyValue::new("leadline.reason", *reason)]
    })
});

/// Every reason of a refusal.
const REASONS: [&str; 7] = ["invalid", "conflict", "key_ended", "denied", "loop", "too_fast", "unavailable"];

/// Adds 0 to each counter, so that a rate over it includes the first event.
pub(crate) fn start() {
    [Protocol::Http, Protocol::Grpc].iter().for_each(|protocol| ACCEPTED.add(protocol, 0));
    REASONS.iter().for_each(|reason| REFUSED.add(reason, 0));
    DUPLICATES.add(&(), 0);
}

pub(crate) fn accepted(protocol: Protocol) {
    ACCEPTED.add(&protocol, 1);
}

pub(crate) fn duplicate() {
    DUPLICATES.add(&(), 1);
}

pub(crate) fn refused(error: &PublishError) {
    let reason = match error {
        PublishError::Invalid(_) => "invalid",
        PublishError::Conflict { .. } => "conflict",
        PublishError::KeyEnded(_) => "key_ended",
        PublishError::Denied(_) => "denied",
        PublishError::Loop { .. } => "loop",
        PublishError::TooFast { .. } => "too_fast",
        PublishError::Unavailable(_) => "unavailable",
    };
    REFUSED.add(&reason, 1);
}
