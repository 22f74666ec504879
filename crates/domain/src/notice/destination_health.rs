//! Destination health: the notices about a destination, decided from its facts in the order of the stream.
//!
//! The first failure calls for a notice at once, which opens a window. The failures in the window share a notice at its
//! end, which opens the next window. After a window without failures, the next failure calls for one at once. There is
//! also one notice about a failure streak, and one when a delivery succeeds again after a streak or a deactivation. For
//! a destination that alternates between failure and success, the number of these notices is limited.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    called_for::{About, NoticeCalledFor, failure_in},
    window::{ErrorCount, Window},
};
use crate::{
    delivery::{DeliveryAttempted, DeliveryFact, DeliveryRef, NextStep},
    ids::{AccountId, DestinationId, EventId, EventType, NoticeId},
};

/// When notices are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The length of the window after a notice, in which failures of the destination are collected. If it is zero, each
    /// failure has its own notice at once.
    pub window: Duration,
    /// The number of failures in a row that call for a notice about the streak; 0 if no streak calls for one.
    pub repeated: u32,
}

impl Rules {
    /// After a notice about a failure streak there is no notice about another streak, nor about the recovery from that
    /// streak, for this number of windows.
    pub const QUIET_WINDOWS: u32 = 4;

    fn is_quiet(self, last_alert: Option<Timestamp>, now: Timestamp) -> bool {
        let quiet = SignedDuration::try_from(self.window.saturating_mul(Self::QUIET_WINDOWS));
        let until = last_alert.map(|at| at.checked_add(quiet.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX));
        until.is_some_and(|until| now < until)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DestinationHealth {
    /// The sequence in DELIVERIES of the last fact that this state includes.
    pub sequence: u64,
    /// The open window; `None` if none is open.
    pub window: Option<Window>,
    /// The failure streak: the deliveries that failed since the last success.
    pub failures: u32,
    /// When the first delivery of the streak failed; `None` if there is no streak.
    pub failing_since: Option<Timestamp>,
    /// Whether this streak has called for a notice.
    pub alerted: bool,
    /// When a streak last called for a notice.
    pub last_alert: Option<Timestamp>,
    /// When a rule deactivated the destination; `None` if no rule did, or a delivery has succeeded since.
    pub deactivated_at: Option<Timestamp>,
}

/// A destination, its health and its pending notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationState {
    pub account: AccountId,
    pub destination: DestinationId,
    pub health: DestinationHealth,
    /// Notices that may not be stored as facts yet. They are stored with the state that called for them: if the leader
    /// dies before it has appended them, the next leader appends the same notices.
    pub pending: Vec<NoticeCalledFor>,
}

/// A fact about a delivery, with its sequence and times.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    pub fact: &'a DeliveryFact,
    /// Its sequence in DELIVERIES.
    pub sequence: u64,
    /// When the broker stored it.
    pub published_at: Timestamp,
    pub now: Timestamp,
}

/// A reaction to a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// A notice to people.
    Notice(NoticeCalledFor),
    /// An event to destinations.
    Event(Operation),
}

/// An operational event, for the destinations that subscribe to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Computed from its cause.
    pub event_id: EventId,
    pub event_type: EventType,
    /// The delivery that caused it.
    pub reference: Arc<DeliveryRef>,
    /// When it happened.
    pub at: Timestamp,
}

impl DestinationState {
    /// The state of a destination without facts.
    pub fn new(reference: &DeliveryRef) -> Self {
        Self {
            account: reference.account.clone(),
            destination: reference.destination.clone(),
            health: DestinationHealth::default(),
            pending: vec![],
        }
    }

    /// Adds a fact about a delivery to this destination and returns the reactions that it calls for. A redelivered fact
    /// calls for nothing.
    ///
    /// Test deliveries call for nothing, because their caller sees the result. Deliveries of operational events call
    /// for notices, but never for another operational event: otherwise one failure could lead to endless further ones.
    pub fn observe(&mut self, seen: Observed<'_>, rules: Rules) -> Vec<Reaction> {
        if seen.sequence <= self.health.sequence {
            return vec![];
        }
        self.health.sequence = seen.sequence;
        if seen.fact.reference().event_type.is_test() {
            return vec![];
        }
        let mut called = vec![];
        if failure_in(seen.fact).is_some() {
            self.fail(seen, rules, &mut called);
        }
        if let DeliveryFact::Attempted(f) = seen.fact {
            match f.next_step {
                NextStep::Succeeded => self.succeed(f, seen, &mut called),
                _ if f.deactivated.is_some() => self.deactivate(f, seen, &mut called),
                _ => {}
            }
        }
        called
    }

    /// Closes a window that has ended and returns its notice.
    pub fn tick(&mut self, rules: Rules, now: Timestamp) -> Option<NoticeCalledFor> {
        let window = self.health.window.take_if(|window| window.until <= now)?;
        let first = *window.examples.first()?;
        self.health.window = Window::open(rules, now);
        Some(NoticeCalledFor {
            notice: NoticeId::of_further_failures(&self.destination, first),
            account: self.account.clone(),
            since: window.since.unwrap_or(window.from),
            again: false,
            about: About::FurtherFailures { destination: self.destination.clone(), window },
        })
    }

    fn fail(&mut self, seen: Observed<'_>, rules: Rules, called: &mut Vec<Reaction>) {
        let (fact, destination) = (seen.fact, self.destination.clone());
        called.extend(self.tick(rules, seen.now).map(Reaction::Notice));
        match &mut self.health.window {
            Some(window) => window.add(seen),
            None => {
                self.health.window = Window::open(rules, seen.now);
                if let Some((notice, _)) = failure_in(fact) {
                    let about = About::Failure { destination: destination.clone(), sequence: seen.sequence };
                    called.push(self.notice(notice, seen, about));
                }
            }
        }
        self.health.failures = self.health.failures.saturating_add(1);
        let failing_since = *self.health.failing_since.get_or_insert(fact.at());
        let repeated = rules.repeated > 0 && self.health.failures >= rules.repeated;
        if repeated && !self.health.alerted && !rules.is_quiet(self.health.last_alert, seen.now) {
            (self.health.alerted, self.health.last_alert) = (true, Some(seen.now));
            let (failures, sequence) = (self.health.failures, seen.sequence);
            let notice = NoticeId::of_repeated_failures(&destination, sequence);
            called.push(self.notice(
                notice,
                seen,
                About::RepeatedFailures { destination, failures, failing_since, sequence },
            ));
        }
        called.extend(self.event(EventType::DELIVERY_FAILED, seen));
    }

    /// Several attempts that end together may each have deactivated the destination. Only the first one causes an
    /// operational event.
    fn deactivate(&mut self, f: &DeliveryAttempted, seen: Observed<'_>, called: &mut Vec<Reaction>) {
        if self.health.deactivated_at.is_none_or(|before| f.started_at > before) {
            self.health.deactivated_at = Some(f.ended_at());
            called.extend(self.event(EventType::DESTINATION_DEACTIVATED, seen));
        }
    }

    /// The success of an attempt that started before the deactivation does not show a recovery.
    fn succeed(&mut self, f: &DeliveryAttempted, seen: Observed<'_>, called: &mut Vec<Reaction>) {
        self.health.failures = 0;
        let failing_since = self.health.failing_since.take();
        let was_deactivated = self.health.deactivated_at.is_some();
        if self.health.deactivated_at.is_some_and(|at| f.started_at <= at) {
            self.health.failing_since = failing_since;
            return;
        }
        let was_alerted = std::mem::take(&mut self.health.alerted);
        self.health.deactivated_at = None;
        if was_alerted || was_deactivated {
            let (destination, at) = (self.destination.clone(), f.ended_at());
            let notice = NoticeId::of_recovery(&destination, seen.sequence);
            let about = About::Recovery { destination, at, failing_since, was_alerted, was_deactivated };
            called.push(self.notice(notice, seen, about));
            called.extend(self.event(EventType::DESTINATION_RECOVERED, seen));
        }
    }

    fn notice(&self, notice: NoticeId, seen: Observed<'_>, about: About) -> Reaction {
        let account = self.account.clone();
        Reaction::Notice(NoticeCalledFor { notice, account, since: seen.published_at, again: false, about })
    }

    fn event(&self, event_type: &str, seen: Observed<'_>) -> Option<Reaction> {
        let reference = seen.fact.reference();
        if reference.event_type.is_operational() {
            return None;
        }
        let event_type = EventType::parse(event_type).ok()?;
        let event_id = EventId::of_operation(&event_type, &self.destination, seen.sequence);
        let (reference, at) = (Arc::clone(reference), seen.fact.at());
        Some(Reaction::Event(Operation { event_id, event_type, reference, at }))
    }
}

impl Window {
    /// The maximum number of different errors that are counted separately.
    pub const MAX_ERRORS: usize = 10;
    /// The maximum number of failures that a notice shows.
    pub const MAX_EXAMPLES: usize = 5;

    fn open(rules: Rules, now: Timestamp) -> Option<Self> {
        let length = SignedDuration::try_from(rules.window).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
        let (errors, examples) = (vec![], vec![]);
        (until > now).then_some(Self { from: now, until, count: 0, since: None, errors, examples })
    }

    fn add(&mut self, seen: Observed<'_>) {
        let (status, kind) = match seen.fact {
            DeliveryFact::Attempted(f) => (f.outcome.status_code(), f.outcome.error_kind()),
            _ => (0, None),
        };
        self.count += 1;
        self.since.get_or_insert(seen.published_at);
        let mut errors = self.errors.iter_mut();
        if let Some(error) = errors.find(|error| (error.status, error.kind) == (status, kind)) {
            error.count += 1;
        } else if self.errors.len() < Self::MAX_ERRORS {
            self.errors.push(ErrorCount { status, kind, count: 1 });
        }
        if self.examples.len() < Self::MAX_EXAMPLES {
            self.examples.push(seen.sequence);
        }
    }
}
