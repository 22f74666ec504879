//! Counters of mails: sent, postponed, given up.

use std::sync::LazyLock;

use runtime::metrics::{Counters, KeyValue};

use crate::transport::TransportError;

static SENT: LazyLock<Counters<()>> =
    LazyLock::new(|| Counters::new("leadline.mails.sent", "{mail}", "Mails that the mail server took", |()| vec![]));
static POSTPONED: LazyLock<Counters<&'static str>> = LazyLock::new(|| {
    let description = "Mails that the mail server did not take now, and that are tried again";
    Counters::new("leadline.mails.postponed", "{mail}", description, |why| vec![KeyValue::new("leadline.reason", *why)])
});
static GIVEN_UP: LazyLock<Counters<()>> =
    LazyLock::new(|| Counters::new("leadline.mails.given_up", "{mail}", "Mails that are given up", |()| vec![]));

/// Makes the counters known, so that their rates begin with the first mail.
pub(crate) fn start() {
    SENT.add(&(), 0);
    POSTPONED.add(&"refused", 0);
    GIVEN_UP.add(&(), 0);
}

/// Counts a try to send a mail, also if a pause prevented it.
pub(crate) fn tried(sent: &Result<(), TransportError>) {
    match sent {
        Ok(()) => SENT.add(&(), 1),
        Err(TransportError::Later { .. }) => POSTPONED.add(&"refused", 1),
        Err(TransportError::Paused(_)) => POSTPONED.add(&"paused", 1),
        Err(TransportError::Outbox { .. }) => POSTPONED.add(&"outbox", 1),
        // Counted by [`given_up`] when the mailer records it.
        Err(TransportError::Refused(_)) => {}
    }
}

pub(crate) fn given_up(mails: usize) {
    GIVEN_UP.add(&(), mails as u64);
}
