//! One lane for each destination, with a concurrency limit of its own.
//!
//! Work that the lane cannot start within [`crate::lanes::lane_queue::PATIENCE`] is parked in the broker and
//! acknowledged, so a slow destination holds neither memory nor unacknowledged messages. While work is parked, new
//! work is parked behind it. The lane of a disabled or deactivated destination holds its work; the lane of a deleted
//! destination abandons it.
//!
//! The number of requests in flight also depends on the destination's rate limit, the pause that its receiver asks for
//! (`Retry-After`), its breaker, and the requests in flight in all lanes. A request is in flight until it is answered;
//! an attempt runs until its outcome is stored.

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
    Shared,
    attempt::{self, Disposition, Ended},
    lanes::concurrency::{room, share},
    lanes::counter::Counter,
    lanes::lane_queue::LaneQueue,
    lanes::order::Order,
    lanes::rate_limit::RateLimit,
    lanes::report::{self, NotOpen, Reported},
    work_item::{AskedBy, WorkItem},
};

/// How many parked messages are taken at once, at most.
const MAX_DRAWN: usize = 100;
/// The delay before parked work is drawn again after the broker did not answer.
const DRAW_INTERVAL: Duration = Duration::from_secs(1);
/// How long a lane stays open with nothing to do.
const IDLE: Duration = Duration::from_secs(30);

/// What the lane may do with its work now.
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
    waiting: LaneQueue,
    running: JoinSet<Ended>,
    /// Requests in flight: started, and not answered.
    under_way: Arc<Counter>,
    set_aside: JoinSet<Disposition>,
    drawing: JoinSet<Drawn>,
    parked: Option<ParkedLane>,
    backlog: bool,
    paused_until: Option<Instant>,
    draw_again_at: Option<Instant>,
    breaker: Breaker,
    pace: RateLimit,
    opened: Instant,
    reported: Reported,
    was_held: bool,
    closed: bool,
}

impl Lane {
    pub(crate) fn new(shared: Arc<Shared>, destination: DestinationId, inbox: mpsc::Receiver<Order>) -> Self {
        Self {
            parked: Some(shared.journal.parking().lane(&destination)),
            waiting: LaneQueue::new(Arc::clone(&shared.waiting)),
            under_way: Counter::part_of(&shared.under_way),
            reported: Reported::of(&shared.lane_reports, &destination),
            shared,
            destination,
            inbox,
            running: JoinSet::new(),
            set_aside: JoinSet::new(),
            drawing: JoinSet::new(),
            backlog: false,
            paused_until: None,
            draw_again_at: None,
            breaker: Breaker::default(),
            pace: RateLimit::default(),
            opened: Instant::now(),
            was_held: false,
            closed: false,
        }
    }

    /// Works until the lane is idle, and returns its inbox, which may still get orders. `None` if it can get none.
    pub(crate) async fn run(mut self) -> Option<mpsc::Receiver<Order>> {
        let drain = self.shared.platform.drain.clone();
        loop {
            let registry = self.shared.registry.snapshot();
            let (state, seen) = (self.state(&registry), registry.sequence());
            drop(registry);
            // Read before any work starts, so that a time that passes or an answer that arrives meanwhile wakes the
            // lane.
            let (now, recording) = (Instant::now(), self.recording());
            self.start_what_can_start(&state);
            self.reported.note(self.not_open(&state));
            let held = matches!(state, State::Held(_) | State::Unknown) && self.backlog;
            let idle = self.is_idle() && !held;
            if idle && self.closed {
                return None;
            }
            // A paused lane stays open, because the lane that opens next would not know the pause.
            let idle = idle && self.paused_until.is_none();
            let (wake_at, under_way) = (self.wake_at(idle, now), self.running.len() - recording);
            tokio::select! {
                order = self.inbox.recv(), if !self.closed => match order {
                    Some(Order::Do(item)) => self.take(*item, &state),
                    Some(Order::LookForParked) => self.backlog = true,
                    None => self.closed = true,
                },
                Some(ended) = self.running.join_next() => self.ended(ended, &state),
                () = self.under_way.fewer_than(under_way), if !self.waiting.is_empty() || self.backlog => {}
                // A draw that found nothing may have missed the work that was parked just now.
                Some(ended) = self.set_aside.join_next() => {
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
        let nothing_under_way = self.running.is_empty() && self.set_aside.is_empty() && self.drawing.is_empty();
        nothing_under_way && self.waiting.is_empty() && !self.backlog
    }

    /// When the lane wakes up although nothing has happened.
    fn wake_at(&self, idle: bool, now: Instant) -> Instant {
        let longest = now + IDLE;
        if idle {
            return longest;
        }
        let patience = self.waiting.patient_until();
        let probe = self.breaker.probe_at().map(|at| self.opened + at);
        let pace = self.pace.next_start().filter(|_| !self.waiting.is_empty());
        let times = [patience, self.paused_until, self.draw_again_at, probe, pace];
        times.into_iter().flatten().filter(|at| *at > now).chain([longest]).min().unwrap_or(longest)
    }

    /// Takes new work: queues, parks, holds or abandons it.
    fn take(&mut self, item: WorkItem, state: &State) {
        match state {
            // Only work that an ordered queue released is checked here; parked work is checked when it is drawn.
            State::Open(destination) if item.work.in_turn && is_skipped(&item, destination) => {
                self.abandon(item, FailureReason::Skipped);
            }
            State::Open(_) if self.backlog || !self.waiting.has_room() => self.park(item),
            State::Open(_) => self.waiting.push(item),
            State::Held(reason) => self.hold(item, *reason),
            State::Gone => self.abandon(item, FailureReason::DestinationDeleted),
            State::Unknown => self.set_aside(attempt::wait(item)),
        }
    }

    fn start_what_can_start(&mut self, state: &State) {
        self.forget_past_times();
        match state {
            State::Open(destination) => {
                if std::mem::take(&mut self.was_held) {
                    // A person enabled the destination, so held work starts at once, but slowly at first.
                    self.breaker = Breaker::recovering();
                    self.paused_until = None;
                }
                while self.room(state) > 0 && !self.waiting.is_empty() && self.pace.may_start(destination.rate) {
                    if let Some(item) = self.waiting.pop() {
                        let (shared, slot) = (Arc::clone(&self.shared), self.under_way.add());
                        self.running.spawn(attempt::make(shared, Arc::clone(destination), item, slot));
                    }
                }
            }
            State::Held(_) | State::Gone | State::Unknown => {
                self.was_held |= matches!(state, State::Held(_));
                while let Some(item) = self.waiting.pop() {
                    self.take(item, state);
                }
            }
        }
        self.draw(state);
        self.park_the_impatient();
    }

    fn forget_past_times(&mut self) {
        let now = Instant::now();
        self.paused_until = self.paused_until.filter(|until| *until > now);
        self.draw_again_at = self.draw_again_at.filter(|at| *at > now);
    }

    /// How many more requests may start now.
    fn room(&self, state: &State) -> usize {
        match state {
            State::Open(_) if self.paused_until.is_some() => 0,
            State::Open(destination) => {
                let (threshold, width) = (destination.breaker_failures, destination.concurrency);
                let allowed = self.breaker.allows(threshold, width, self.opened.elapsed()) as usize;
                let share = share(self.shared.most_under_way, self.shared.under_way.count());
                room(allowed.min(share), self.under_way.count(), self.recording())
            }
            State::Gone => MAX_DRAWN,
            State::Held(_) | State::Unknown => 0,
        }
    }

    /// How many attempts are answered and wait until their outcome is stored.
    fn recording(&self) -> usize {
        self.running.len().saturating_sub(self.under_way.count())
    }

    /// Takes parked work once at least as many requests may start as are in flight.
    fn draw(&mut self, state: &State) {
        let room = self.room(state);
        let worthwhile = room >= self.under_way.count();
        if !self.backlog || !self.waiting.is_empty() || room == 0 || !worthwhile || self.draw_again_at.is_some() {
            return;
        }
        // Work that cannot start within a second would be parked again.
        let startable = match state {
            State::Open(destination) => destination.rate.map_or(MAX_DRAWN, |rate| rate as usize),
            State::Held(_) | State::Gone | State::Unknown => MAX_DRAWN,
        };
        if let Some(mut parked) = self.parked.take() {
            self.drawing.spawn(async move {
                let taken = parked.take(room.min(startable).min(MAX_DRAWN)).await;
                (parked, taken)
            });
        }
    }

    fn drawn(&mut self, drawn: Result<Drawn, JoinError>, state: &State) {
        let Ok((parked, taken)) = drawn else {
            tracing::error!(destination = %self.destination, "cannot draw parked work; its task panicked");
            self.parked = Some(self.shared.journal.parking().lane(&self.destination));
            return;
        };
        self.parked = Some(parked);
        match taken {
            Ok(messages) => {
                self.backlog = !messages.is_empty();
                for message in messages {
                    let item = WorkItem::new(message, AskedBy::Other);
                    match state {
                        State::Gone => self.abandon(item, FailureReason::DestinationDeleted),
                        State::Open(destination) if is_skipped(&item, destination) => {
                            self.abandon(item, FailureReason::Skipped);
                        }
                        // If the destination was disabled just now, the next turn of the loop holds the work.
                        _ => self.waiting.push(item),
                    }
                }
            }
            Err(error) => {
                tracing::debug!(error = error.chain(), destination = %self.destination, "cannot draw parked work");
                self.draw_again_at = Some(Instant::now() + DRAW_INTERVAL);
            }
        }
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>, state: &State) {
        match ended {
            Ok(Ended { pause, transport_failed, not_begun, span, .. }) => {
                if let Some(item) = not_begun {
                    self.park(*item);
                }
                if let Some(until) = pause.map(|pause| Instant::now() + pause) {
                    self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
                }
                if transport_failed == Some(false) {
                    self.waiting.moved();
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
            // Its message is not acknowledged, so the attempt is made again.
            Err(error) => {
                tracing::error!(error = error.chain(), destination = %self.destination, "an attempt panicked")
            }
        }
    }

    fn park_the_impatient(&mut self) {
        while let Some(item) = self.waiting.pop_impatient() {
            self.park(item);
        }
    }

    fn park(&mut self, item: WorkItem) {
        self.backlog = true;
        self.set_aside(attempt::park(Arc::clone(&self.shared), item));
    }

    fn hold(&mut self, item: WorkItem, reason: HoldReason) {
        self.backlog = true;
        self.set_aside(attempt::hold(Arc::clone(&self.shared), item, reason));
    }

    fn abandon(&mut self, item: WorkItem, reason: FailureReason) {
        self.set_aside(attempt::abandon(Arc::clone(&self.shared), item, reason));
    }

    fn set_aside(&mut self, setting_aside: impl Future<Output = Disposition> + Send + 'static) {
        let counted = self.shared.waiting.add();
        self.set_aside.spawn(async move {
            let _counted = counted;
            setting_aside.await
        });
    }

    /// Returns work that has not started to the broker, for another process, and finishes the work that has.
    async fn finish(mut self) {
        self.inbox.close();
        while let Some(order) = self.inbox.recv().await {
            if let Order::Do(item) = order {
                item.message.nak(Duration::ZERO).await;
            }
        }
        while let Some(drawn) = self.drawing.join_next().await {
            if let Ok((_, Ok(messages))) = drawn {
                messages.into_iter().for_each(|message| self.waiting.push(WorkItem::new(message, AskedBy::Other)));
            }
        }
        while let Some(item) = self.waiting.pop() {
            item.message.nak(Duration::ZERO).await;
        }
        while self.running.join_next().await.is_some() {}
        while self.set_aside.join_next().await.is_some() {}
    }
}
