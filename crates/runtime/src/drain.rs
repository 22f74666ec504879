//! The drain: an orderly end, with one signal that every task sees and a count of the tasks that have not finished.

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

use crate::chain::ErrorChain as _;

/// Signals tasks to stop, and waits for them. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Drain {
    stop: CancellationToken,
    tasks: TaskTracker,
    failed: Arc<AtomicBool>,
}

impl Drain {
    /// Begins the drain.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Begins the drain because of a failure: the process then ends with an error.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
        self.stop();
    }

    /// Whether the drain began because of a failure.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the drain has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the drain begins.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// As [`Drain::stopping`], as a future that owns its token.
    pub(crate) fn stopping_owned(&self) -> WaitForCancellationFutureOwned {
        self.stop.clone().cancelled_owned()
    }

    /// Runs a task that [`Drain::finished`] waits for. The task has to watch [`Drain::stopping`] itself. If it panics
    /// or ends before the drain, the whole process is drained: a service without one of its parts cannot do its job.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let drain = self.clone();
        let inner = tokio::spawn(task);
        self.tasks.spawn(async move {
            let ended = inner.await;
            if let Err(error) = &ended {
                tracing::error!(task = name, error = error.chain(), "task panicked; stopping the process");
                drain.fail();
            } else if !drain.is_stopping() {
                tracing::error!(task = name, "task ended before the drain; stopping the process");
                drain.fail();
            }
        });
    }

    /// Runs work that [`Drain::finished`] waits for and that may end at any time.
    pub fn spawn_work(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Waits until every task has finished, at most for `deadline` after the drain began; `false` if some have not.
    pub async fn finished(&self, deadline: Duration) -> bool {
        self.stopping().await;
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok()
    }
}

/// Begins the drain on SIGTERM or Ctrl-C; a second signal ends the process at once, with status 130.
///
/// # Errors
/// If the process may not handle signals.
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
    async fn a_drain_waits_for_work_until_its_deadline() {
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
