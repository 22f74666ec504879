//! The state of the broker, which the thread that watches it shares with the parts that stop and restart it.

use std::time::Duration;

use nix::unistd::Pid;

/// How long the broker may take to stop after a signal.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) process: Option<Pid>,
    pub(super) stopping: bool,
    /// The broker got a signal to stop, and will be started again.
    pub(super) restarting: bool,
}
