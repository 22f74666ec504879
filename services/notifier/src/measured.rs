//! Counters of mails: sent, postponed, given up.

use std::sync::LazyLock;

use runtime::metrics::{Counters, KeyValue};

static SENT: LazyLock<Counters<()>> =
    LazyLock::new(|| Counters::new("leadline.mails.sent", "{mail}", "Mails that the mail server took", |()| vec![]));
static POSTPONED: LazyLock<Counters<&'static str>> = LazyLock::new(|| {
    let description = "Mails that the mail server did not take now, and that are tried again";
    Counters::new("leadline.mails.postponed", "{mail}", description, |why| vec![KeyValue::new("leadline.reason", *why)])
});
static GIVEN_UP: LazyLock<Counters<()>> =
    LazyLock::new(|| Counters::new("leadline.mails.given_up", "{mail}", "Mails that are given up", |()| vec![]));

/// Registers the counters, so that their rates begin with the first mail.
pub(crate) fn start() {
    SENT.add(&(), 0);
    POSTPONED.add(&"refused", 0);
    GIVEN_UP.add(&(), 0);
}

pub(crate) fn sent() {
    SENT.add(&(), 1);
}

pub(crate) fn postponed(why: &'static str) {
    POSTPONED.add(&why, 1);
}

pub(crate) fn given_up(mails: usize) {
    GIVEN_UP.add(&(), mails as u64);
}
