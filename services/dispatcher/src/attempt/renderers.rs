//! Threads that render templates. Rendering may take tens of milliseconds of CPU time, and needs a larger stack than
//! the runtime's threads have.
//!
//! Accounts take turns, and one account never has all threads, so slow templates of one account delay no other. The
//! queue is bounded by the limit of requests in flight.

use std::{
    collections::{HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use domain::{AccountId, DeliveryRef, registry::Destination};
use render::{Input, RenderError, Rendered};
use tokio::sync::oneshot;

use crate::{payloads::Content, transport::request::NoRequest};

/// The number of threads. With at least two, one account cannot occupy all of them. With at most four, templates leave
/// CPU time to other work.
const MIN_THREADS: usize = 2;
const MAX_THREADS: usize = 4;

type Task = Box<dyn FnOnce() + Send>;

/// Stops the threads when it is dropped.
#[derive(Debug)]
pub(crate) struct Renderers {
    waiting: Arc<TaskQueue>,
}

#[derive(Default)]
struct TaskQueue {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    /// The waiting accounts, each once; the first one is next.
    accounts: VecDeque<AccountId>,
    tasks: HashMap<AccountId, VecDeque<Task>>,
    running: HashMap<AccountId, usize>,
    closed: bool,
}

impl std::fmt::Debug for TaskQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskQueue").finish_non_exhaustive()
    }
}

impl Renderers {
    /// # Errors
    /// When the system cannot start a thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let threads = thread::available_parallelism().map_or(MIN_THREADS, |n| n.get().clamp(MIN_THREADS, MAX_THREADS));
        let renderers = Self { waiting: Arc::default() };
        for _ in 0..threads {
            let waiting = Arc::clone(&renderers.waiting);
            let work = move || waiting.work(threads - 1);
            thread::Builder::new().name("renderer".into()).stack_size(render::STACK).spawn(work)?;
        }
        Ok(renderers)
    }

    /// Makes URL and body of a request. Without a template this happens on the caller's thread.
    pub(crate) async fn render(
        &self,
        destination: &Arc<Destination>,
        reference: &Arc<DeliveryRef>,
        content: &Content,
    ) -> Result<Rendered, NoRequest> {
        if !render::has_template(destination) {
            return Ok(fill(destination, reference, content)?);
        }
        let (done, made) = oneshot::channel();
        let (destination, for_task, content) = (Arc::clone(destination), Arc::clone(reference), content.clone());
        self.waiting.add(
            &reference.account,
            Box::new(move || {
                let made = catch_unwind(AssertUnwindSafe(|| fill(&destination, &for_task, &content)));
                // The caller may be gone.
                let _ = done.send(made);
            }),
        );
        match made.await {
            Ok(Ok(made)) => Ok(made?),
            Ok(Err(_)) | Err(_) => Err(NoRequest::Engine),
        }
    }
}

fn fill(destination: &Destination, reference: &DeliveryRef, content: &Content) -> Result<Rendered, RenderError> {
    let input = Input { reference, occurred_at: content.occurred_at, payload: &content.payload };
    render::render(destination, &input)
}

impl Drop for Renderers {
    fn drop(&mut self) {
        self.waiting.pending().closed = true;
        self.waiting.changed.notify_all();
    }
}

impl TaskQueue {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, account: &AccountId, task: Task) {
        let mut pending = self.pending();
        let tasks = pending.tasks.entry(account.clone()).or_default();
        tasks.push_back(task);
        if tasks.len() == 1 {
            pending.accounts.push_back(account.clone());
        }
        drop(pending);
        self.changed.notify_one();
    }

    /// Runs one task after another until the queue is closed.
    fn work(&self, max_per_account: usize) {
        let mut pending = self.pending();
        while !pending.closed {
            let Some((account, task)) = pending.next(max_per_account) else {
                pending = self.changed.wait(pending).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(pending);
            task();
            pending = self.pending();
            pending.ended(&account);
            // An account that was at its limit may use a thread again.
            self.changed.notify_one();
        }
    }
}

impl Pending {
    /// Takes the next task, from the account that has waited longest among those below their limit.
    fn next(&mut self, max_per_account: usize) -> Option<(AccountId, Task)> {
        let may = |account: &AccountId| self.running.get(account).is_none_or(|running| *running < max_per_account);
        let account = self.accounts.remove(self.accounts.iter().position(may)?)?;
        let tasks = self.tasks.get_mut(&account)?;
        let task = tasks.pop_front()?;
        if tasks.is_empty() {
            self.tasks.remove(&account);
        } else {
            self.accounts.push_back(account.clone());
        }
        *self.running.entry(account.clone()).or_default() += 1;
        Some((account, task))
    }

    fn ended(&mut self, account: &AccountId) {
        if let Some(running) = self.running.get_mut(account) {
            *running -= 1;
            if *running == 0 {
                self.running.remove(account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountId {
        AccountId::parse(name).unwrap()
    }

    #[test]
    fn accounts_take_turns_and_leave_a_thread_to_others() {
        let waiting = TaskQueue::default();
        for name in ["many", "many", "many", "few", "other"] {
            waiting.add(&account(name), Box::new(|| {}));
        }
        let mut pending = waiting.pending();
        let next = |pending: &mut Pending| pending.next(1).map(|(account, _)| account.to_string());
        let first: Vec<_> = (0..4).map_while(|_| next(&mut pending)).collect();
        assert_eq!(first, ["many", "few", "other"], "many has its thread already");
        pending.ended(&account("many"));
        assert_eq!(next(&mut pending).as_deref(), Some("many"));
        pending.ended(&account("many"));
        assert_eq!(next(&mut pending).as_deref(), Some("many"));
        pending.ended(&account("many"));
        assert_eq!(next(&mut pending), None);
        assert!(pending.accounts.is_empty() && pending.tasks.is_empty());
    }
}
