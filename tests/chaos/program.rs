//! The program, and how long its processes may take.

use std::{path::PathBuf, time::Duration};

/// How long a process may take to start: generous, because all share a few cores and some are down on purpose.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_leadline").into()
}
