//! Runs one lane: starts, parks, holds or abandons the work of one destination, within its own concurrency limit.
//!
//! Work that the lane cannot start within [`crate::lanes::lane_queue::PATIENCE`] is parked in the broker and
//! acknowledged, so a slow destination holds neither memory nor unacknowledged messages. While work is parked, new
//! work is parked behind it. The lane of a disabled or deactivated destination holds its work; the lane of a deleted
//! destination abandons it.
//!
//! Further limits apply to the requests in flight: the destination's rate limit, the pause that its receiver asks for
//! (`Retry-After`), its breaker, and the limit of all lanes. A request is in flight until it succeeds, or until the
//! lane has handled its failure. An attempt runs until its outcome is stored.

mod drawing;

use std::{sync::Arc, time::Duration};

use domain::{
    DestinationId, Registry, Work,
    breaker::Breaker,
    delivery::{FailureReason, HoldReason},
    registry::Destination,
};
use journal::{JournalError, Message, ParkedLane};
use runtime::ErrorChain as _;
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{
    attempt::{self, Disposition, Ended},
    lanes::{
        concurrency::{share, startable},
        counter::Counter,
        lane_queue::LaneQueue,
        order::Order,
        rate_limit::RateLimit,
        report::{self, NotOpen, Reported},
    },
    shared::Shared,
    work_item::{WorkItem, WorkSource},
};

/// The maximum number of parked messages that are taken at once.
const MAX_DRAWN: usize = 100;
/// How long a lane stays open with nothing to do.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of the destination. It decides what the lane may do with its work.
enum State {
    Open(Arc<Destination>),
    Held(HoldReason),
    Gone,
    /// The registry view does not contain the destination, not even as a deleted one: the view is too old.
    Unknown,
}

/// Whether a person enabled the destination with `skip_held` after this work was requested.
fn is_skipped(item: &WorkItem, destination: &Destination) -> bool {
    destination.skip_held_before.is_some_and(|before| item.work.requested_at < before)
}

type Drawn = (ParkedLane, Result<Vec<Message<Work>>, JournalError>);

pub(crate) struct Lane {
    shared: Arc<Shared>,
    destination: DestinationId,
    inbox: mpsc::Receiver<Order>,
    queue: LaneQueue,
    running: JoinSet<Ended>,
    in_flight: Arc<Counter>,
    dispositions: JoinSet<Disposition>,
    drawing: JoinSet<Drawn>,
    /// `None` while parked work is drawn.
    parked: Option<ParkedLane>,
    /// Whether the broker may have parked work of the lane.
    backlog: bool,
    paused_until: Option<Instant>,
    draw_again_at: Option<Instant>,
    breaker: Breaker,
    rate_limit: RateLimit,
    opened: Instant,
    reported: Reported,
    was_held: bool,
    closed: bool,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, destination: DestinationId, inbox: mpsc::Receiver<Order>) -> Self {
        Self {
            parked: Some(shared.journal.parking().lane(&destination)),
            queue: LaneQueue::new(Arc::clone(&shared.waiting)),
            in_flight: Counter::part_of(&shared.in_flight),
            reported: Reported::of(&shared.lane_reports, &destination),
            shared,
            destination,
            inbox,
            running: JoinSet::new(),
            dispositions: JoinSet::new(),
            drawing: JoinSet::new(),
            backlog: false,
            paused_until: None,
            draw_again_at: None,
            breaker: Breaker::default(),
            rate_limit: RateLimit::default(),
            opened: Instant::now(),
            was_held: false,
            closed: false,
        }
    }

    /// Works until the lane is idle, and returns its inbox, which may still get orders. `None` if no order can arrive.
    pub(crate) async fn run(mut self) -> Option<mpsc::Receiver<Order>> {
        let drain = self.shared.platform.drain.clone();
        loop {
            let registry = self.shared.registry.snapshot();
            let (state, seen) = (self.state(&registry), registry.sequence());
            drop(registry);
            // These values are older than the work that starts next. So a time that passes, or an answer that arrives,
            // while work starts wakes the lane.
            let (now, recording) = (Instant::now(), self.recording());
            self.start_work(&state);
            self.reported.note(self.not_open(&state));
            let held = matches!(state, State::Held(_) | State::Unknown) && self.backlog;
            let idle = self.is_idle() && !held;
            if idle && self.closed {
                return None;
            }
            // A paused lane keeps running, because the next lane of the destination would not know the pause.
            let idle = idle && self.paused_until.is_none();
            let (wake_at, in_flight) = (self.wake_at(idle, now), self.running.len() - recording);
            tokio::select! {
                order = self.inbox.recv(), if !self.closed => match order {
                    Some(Order::Do(item)) => self.take(*item, &state),
                    Some(Order::LookForParked) => self.backlog = true,
                    None => self.closed = true,
                },
                Some(ended) = self.running.join_next() => self.ended(ended, &state),
                () = self.in_flight.fewer_than(in_flight), if !self.queue.is_empty() || self.backlog => {}
                // A draw that found nothing may have missed the work that was parked just now.
                Some(ended) = self.dispositions.join_next() => {
                    self.backlog |= matches!(ended, Ok(Disposition::Parked));
                }
                Some(drawn) = self.drawing.join_next() => self.drawn(drawn, &state),
                _ = self.shared.registry.changed_since(seen), if held => {}
                () = sleep_until(wake_at) => if idle {
                    return Some(self.inbox);
                },
                () = drain.stopping() => {
                    self.finish().await;
                    return None;
                }
            }
        }
    }

    fn state(&self, registry: &Registry) -> State {
        match registry.destination(&self.destination) {
            Some(destination) if !destination.enabled => State::Held(HoldReason::Disabled),
            Some(destination) if destination.deactivated.is_some() => State::Held(HoldReason::Deactivated),
            Some(destination) => State::Open(Arc::clone(destination)),
            None if registry.destination_ever(&self.destination).is_some() => State::Gone,
            None => State::Unknown,
        }
    }

    fn not_open(&self, state: &State) -> Option<NotOpen> {
        let State::Open(destination) = state else { return None };
        NotOpen::of(destination, &self.breaker, self.opened, self.paused_until)
    }

    fn is_idle(&self) -> bool {
        let nothing_in_flight = self.running.is_empty() && self.dispositions.is_empty() && self.drawing.is_empty();
        nothing_in_flight && self.queue.is_empty() && !self.backlog
    }

    /// When the lane wakes up if nothing happens before.
    fn wake_at(&self, idle: bool, now: Instant) -> Instant {
        let longest = now + IDLE_TIMEOUT;
        if idle {
            return longest;
        }
        let patience = self.queue.patient_until();
        let probe = self.breaker.probe_at().map(|at| self.opened + at);
        let next_start = self.rate_limit.next_start().filter(|_| !self.queue.is_empty());
        let times = [patience, self.paused_until, self.draw_again_at, probe, next_start];
        times.into_iter().flatten().filter(|at| *at > now).chain([longest]).min().unwrap_or(longest)
    }

    /// Takes new work: queues, parks, holds or abandons it.
    fn take(&mut self, item: WorkItem, state: &State) {
        match state {
            // Only work that an ordered queue released is checked here; parked work is checked when it is drawn.
            State::Open(destination) if item.work.in_turn && is_skipped(&item, destination) => {
                self.abandon(item, FailureReason::Skipped);
            }
            State::Open(_) if self.backlog || !self.queue.has_room() => self.park(item),
            State::Open(_) => self.queue.push(item),
            State::Held(reason) => self.hold(item, *reason),
            State::Gone => self.abandon(item, FailureReason::DestinationDeleted),
            State::Unknown => self.dispose(attempt::wait(item)),
        }
    }

    /// Starts as much work as the limits allow. If the destination is off, deleted or unknown, holds, abandons or
    /// returns the work instead. Then draws parked work, and parks work that has waited too long.
    fn start_work(&mut self, state: &State) {
        self.forget_past_times();
        match state {
            State::Open(destination) => {
                if std::mem::take(&mut self.was_held) {
                    // A person enabled the destination, so held work starts at once, but slowly at first.
                    self.breaker = Breaker::recovering();
                    self.paused_until = None;
                }
                while self.startable(state) > 0 && !self.queue.is_empty() && self.rate_limit.may_start(destination.rate)
                {
                    if let Some(item) = self.queue.pop() {
                        let (shared, slot) = (Arc::clone(&self.shared), self.in_flight.add());
                        self.running.spawn(attempt::make(shared, Arc::clone(destination), item, slot));
                    }
                }
            }
            State::Held(_) | State::Gone | State::Unknown => {
                self.was_held |= matches!(state, State::Held(_));
                while let Some(item) = self.queue.pop() {
                    self.take(item, state);
                }
            }
        }
        self.draw(state);
        self.park_overdue();
    }

    fn forget_past_times(&mut self) {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.draw_again_at = self.draw_again_at.filter(|at| *at > now);
    }

    /// How many more requests may start now; at a deleted destination, how much parked work may be drawn and abandoned.
    fn startable(&self, state: &State) -> usize {
        match state {
            State::Open(_) if self.paused_until.is_some() => 0,
            State::Open(destination) => {
                let (threshold, width) = (destination.breaker_failures, destination.concurrency);
                let allowed = self.breaker.allows(threshold, width, self.opened.elapsed()) as usize;
                let share = share(self.shared.max_in_flight, self.shared.in_flight.count());
                startable(allowed.min(share), self.in_flight.count(), self.recording())
            }
            State::Gone => MAX_DRAWN,
            State::Held(_) | State::Unknown => 0,
        }
    }

    /// How many attempts succeeded and wait until their outcome is stored.
    fn recording(&self) -> usize {
        self.running.len().saturating_sub(self.in_flight.count())
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>, state: &State) {
        match ended {
            Ok(Ended { pause, transport_failed, moved, not_begun, span, .. }) => {
                if let Some(item) = not_begun {
                    self.park(*item);
                }
                if let Some(until) = pause.map(|pause| Instant::now() + pause) {
                    self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
                }
                if moved {
                    self.queue.moved();
                }
                if let (Some(failed), State::Open(destination)) = (transport_failed, state) {
                    let (threshold, width) = (destination.breaker_failures, destination.concurrency);
                    let was_open = self.breaker.probe_at().is_some();
                    self.breaker.ended(failed, threshold, width, self.opened.elapsed());
                    let is_open = self.breaker.probe_at().is_some();
                    if was_open != is_open {
                        report::log_breaker(&self.destination, is_open, span);
                    }
                }
            }
            // The message of the attempt is not acknowledged, so the attempt is made again.
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    destination = %self.destination,
                    "attempt panicked; the broker redelivers its work"
                )
            }
        }
    }

    fn park_overdue(&mut self) {
        while let Some(item) = self.queue.pop_overdue() {
            self.park(item);
        }
    }

    fn park(&mut self, item: WorkItem) {
        self.backlog = true;
        self.dispose(attempt::park(Arc::clone(&self.shared), item));
    }

    fn hold(&mut self, item: WorkItem, reason: HoldReason) {
        self.backlog = true;
        self.dispose(attempt::hold(Arc::clone(&self.shared), item, reason));
    }

    fn abandon(&mut self, item: WorkItem, reason: FailureReason) {
        self.dispose(attempt::abandon(Arc::clone(&self.shared), item, reason));
    }

    fn dispose(&mut self, disposing: impl Future<Output = Disposition> + Send + 'static) {
        let counted = self.shared.waiting.add();
        self.dispositions.spawn(async move {
            let _counted = counted;
            disposing.await
        });
    }

    /// Finishes the work that has started. Other work is returned to the broker, which redelivers it to another
    /// process.
    async fn finish(mut self) {
        self.inbox.close();
        while let Some(order) = self.inbox.recv().await {
            if let Order::Do(item) = order {
                item.message.nak(Duration::ZERO).await;
            }
        }
        while let Some(drawn) = self.drawing.join_next().await {
            if let Ok((_, Ok(messages))) = drawn {
                messages.into_iter().for_each(|message| self.queue.push(WorkItem::new(message, WorkSource::Other)));
            }
        }
        while let Some(item) = self.queue.pop() {
            item.message.nak(Duration::ZERO).await;
        }
        while self.running.join_next().await.is_some() {}
        while self.dispositions.join_next().await.is_some() {}
    }
}
