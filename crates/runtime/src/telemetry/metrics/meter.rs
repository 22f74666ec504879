//! The meter, and whether anything is measured.

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::{global, metrics::Meter};

static ON: AtomicBool = AtomicBool::new(false);

/// Whether anything is measured. It does not change after the start of the telemetry.
pub fn are_on() -> bool {
    ON.load(Ordering::Relaxed)
}

pub(super) fn turn_on() {
    ON.store(true, Ordering::Relaxed);
}

/// The meter of Leadline's instruments.
pub fn meter() -> Meter {
    global::meter("leadline")
}
