//! An orderly end: one signal that everybody sees, and a count of who has not finished yet.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

use crate::ErrorChain as _;

/// Tells tasks when to stop, and waits for them.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<AtomicBool>,
}

impl Drain {
    /// Begins the end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Begins the end because something broke: the process is to end with an error.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Whether the end began because something broke.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the end has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the end begins.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// The same as a future that owns what it waits for.
    pub(crate) fn stopping_owned(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Runs a task that [`Drain::finished`] waits for. The task itself has to look at [`Drain::stopping`]. If it ends
    /// before that, or panics, the whole process is drained: a service without one of its parts is none.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let drain = self.clone();
        let inner = tokio::spawn(task);
        self.tasks.spawn(async move {
            let ended = inner.await;
            if let Err(error) = &ended {
                tracing::error!(task = name, error = error.chain(), "a task panicked; stopping the process");
                drain.fail();
            } else if !drain.is_stopping() {
                tracing::error!(task = name, "a task ended before its time; stopping the process");
                drain.fail();
            }
        });
    }

    /// Runs a piece of work that [`Drain::finished`] waits for and that may end whenever it is done.
    pub fn spawn_work(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits until every task has finished, at most for `deadline` after the end began; whether all did.
    pub async fn finished(&self, deadline: Duration) -> bool {
        self.stopping().await;
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok()
    }
}

/// Begins the drain on SIGTERM or Ctrl-C; the second one ends the process at once, with status 130.
///
/// # Errors
/// When the process may not handle signals.
pub fn shutdown_on_signal(drain: &Drain) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let drain = drain.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if drain.is_stopping() {
                std::process::exit(130);
            }
            tracing::info!("stopping: finishing what is in flight; signal again to stop at once");
            drain.stop();
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_waits_for_its_work_and_no_longer_than_its_deadline() {
        let drain = Drain::default();
        let (done, wait) = tokio::sync::oneshot::channel::<()>();
        drain.spawn_work(async move {
            let _ = wait.await;
        });
        drain.stop();
        assert!(!drain.finished(Duration::from_millis(20)).await);
        done.send(()).unwrap();
        assert!(drain.finished(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_process() {
        let drain = Drain::default();
        drain.spawn("broken", async { panic!("on purpose") });
        assert!(drain.finished(Duration::from_secs(5)).await);
        assert!(drain.has_failed());
    }
}
