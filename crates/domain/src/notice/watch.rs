//! What goes on at a destination, as far as people have to be told: decided from its facts, in the order in which they
//! were recorded.
//!
//! The first failure is told at once. It opens a window; what fails until its end is told together, and opens another
//! one. When nothing failed in a window, the next failure is told at once again. Independently of that, people hear once
//! when deliveries fail many times in a row, and once when one succeeds again after that or after a deactivation. Of a
//! destination that now fails and now works they hear that only now and then.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{About, NoticeCalledFor, failure_in};
use crate::{
    delivery::{DeliveryAttempted, DeliveryFact, DeliveryRef, Verdict},
    ids::{AccountId, DestinationId, EventId, EventType, NoticeId},
    outcome::ErrorKind,
};

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// For how long after a notice failures of the same destination are collected; zero: each is told at once.
    pub window: Duration,
    /// How many deliveries in a row have to fail until people are told that it goes on; 0: they are not.
    pub repeated: u32,
}

impl Rules {
    /// For how many windows after people were told that a destination fails again and again they are not told so again,
    /// nor that it works again after that.
    pub const QUIET_WINDOWS: u32 = 4;

    fn is_quiet(self, last_alert: Option<Timestamp>, now: Timestamp) -> bool {
        let quiet = SignedDuration::try_from(self.window.saturating_mul(Self::QUIET_WINDOWS));
        let until = last_alert.map(|at| at.checked_add(quiet.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX));
        until.is_some_and(|until| now < until)
    }
}

/// What goes on at a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Watch {
    /// The place in DELIVERIES of the last fact that is part of this.
    pub sequence: u64,
    /// What is collected at the moment.
    pub window: Option<Window>,
    /// How many deliveries have failed since one succeeded.
    pub failures: u32,
    /// When the first of them failed.
    pub failing_since: Option<Timestamp>,
    /// People were told that it fails again and again, and no delivery has succeeded since.
    pub alerted: bool,
    /// When they were told so last.
    pub last_alert: Option<Timestamp>,
    /// When a rule switched it off, unless a delivery has succeeded since.
    pub deactivated_at: Option<Timestamp>,
}

/// A destination and what goes on there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Whose it is.
    pub account: AccountId,
    /// The destination.
    pub destination: DestinationId,
    /// What goes on there.
    pub watch: Watch,
    /// What that calls for and may not be on record yet. It is remembered with the state that called for it, so that
    /// whoever dies in between leaves behind what is to be said, word for word.
    pub unsaid: Vec<NoticeCalledFor>,
}

/// Failures that are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// When it was opened.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// How many failures there are in it.
    pub count: u64,
    /// When the broker took the first of them.
    pub since: Option<Timestamp>,
    /// What they were; at most [`Window::MOST_ERRORS`] different ones, further ones only count.
    pub errors: Vec<ErrorCount>,
    /// The places of the first of them, at most [`Window::MOST_EXAMPLES`].
    pub examples: Vec<u64>,
}

/// How often something went wrong in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCount {
    /// The status; 0: no attempt was made, because the payload is gone.
    pub status: u16,
    /// Why no answer came, if none did.
    pub kind: Option<ErrorKind>,
    /// How often.
    pub count: u64,
}

/// A fact about a delivery, and what is known about its record.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The fact.
    pub fact: &'a DeliveryFact,
    /// Its place in DELIVERIES.
    pub sequence: u64,
    /// When the broker took it.
    pub published_at: Timestamp,
    /// The time now.
    pub now: Timestamp,
}

/// What a fact calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// A notice to people.
    Notice(NoticeCalledFor),
    /// An event to destinations.
    Event(Operation),
}

/// An event about Leadline's own work, for whoever subscribes to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Computed from what it tells of.
    pub event_id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// The delivery that shows it.
    pub reference: Arc<DeliveryRef>,
    /// When it happened.
    pub at: Timestamp,
}

impl Watched {
    /// What a destination looks like at which nothing has happened yet.
    pub fn new(reference: &DeliveryRef) -> Self {
        Self {
            account: reference.account.clone(),
            destination: reference.destination.clone(),
            watch: Watch::default(),
            unsaid: vec![],
        }
    }

    /// Adds a fact about a delivery to this destination, and says what it calls for. One that is known calls for nothing.
    ///
    /// Deliveries of tests concern nobody but who asked for them. Those of events about Leadline's own work call for
    /// notices to people and never for another such event: otherwise one failure would lead to another for ever.
    pub fn observe(&mut self, seen: Seen<'_>, rules: Rules) -> Vec<Called> {
        if seen.sequence <= self.watch.sequence {
            return vec![];
        }
        self.watch.sequence = seen.sequence;
        if seen.fact.reference().event_type.is_test() {
            return vec![];
        }
        let mut called = vec![];
        if failure_in(seen.fact).is_some() {
            self.fail(seen, rules, &mut called);
        }
        if let DeliveryFact::Attempted(f) = seen.fact {
            match f.verdict {
                Verdict::Succeeded => self.succeed(f, seen, &mut called),
                _ if f.deactivated.is_some() => self.deactivate(f, seen, &mut called),
                _ => {}
            }
        }
        called
    }

    /// What the time itself calls for: a window has ended.
    pub fn tick(&mut self, rules: Rules, now: Timestamp) -> Option<NoticeCalledFor> {
        let window = self.watch.window.take_if(|window| window.until <= now)?;
        let first = *window.examples.first()?;
        self.watch.window = Window::open(rules, now);
        Some(NoticeCalledFor {
            notice: NoticeId::of_further_failures(&self.destination, first),
            account: self.account.clone(),
            since: window.since.unwrap_or(window.from),
            again: false,
            about: About::FurtherFailures { destination: self.destination.clone(), window },
        })
    }

    fn fail(&mut self, seen: Seen<'_>, rules: Rules, called: &mut Vec<Called>) {
        let (fact, destination) = (seen.fact, self.destination.clone());
        called.extend(self.tick(rules, seen.now).map(Called::Notice));
        match &mut self.watch.window {
            Some(window) => window.add(seen),
            None => {
                self.watch.window = Window::open(rules, seen.now);
                if let Some((notice, _)) = failure_in(fact) {
                    let about = About::Failure { destination: destination.clone(), sequence: seen.sequence };
                    called.push(self.notice(notice, seen, about));
                }
            }
        }
        self.watch.failures = self.watch.failures.saturating_add(1);
        let failing_since = *self.watch.failing_since.get_or_insert(fact.at());
        let repeated = rules.repeated > 0 && self.watch.failures >= rules.repeated;
        if repeated && !self.watch.alerted && !rules.is_quiet(self.watch.last_alert, seen.now) {
            (self.watch.alerted, self.watch.last_alert) = (true, Some(seen.now));
            let (failures, sequence) = (self.watch.failures, seen.sequence);
            let notice = NoticeId::of_repeated_failures(&destination, sequence);
            called.push(self.notice(
                notice,
                seen,
                About::RepeatedFailures { destination, failures, failing_since, sequence },
            ));
        }
        called.extend(self.event(EventType::DELIVERY_FAILED, seen));
    }

    /// Several attempts that ended at once may each say that they switched it off; it is told once.
    fn deactivate(&mut self, f: &DeliveryAttempted, seen: Seen<'_>, called: &mut Vec<Called>) {
        if self.watch.deactivated_at.is_none_or(|before| f.started_at > before) {
            self.watch.deactivated_at = Some(f.ended_at());
            called.extend(self.event(EventType::DESTINATION_DEACTIVATED, seen));
        }
    }

    /// What had begun before it was switched off does not show that it works again.
    fn succeed(&mut self, f: &DeliveryAttempted, seen: Seen<'_>, called: &mut Vec<Called>) {
        self.watch.failures = 0;
        let failing_since = self.watch.failing_since.take();
        let was_deactivated = self.watch.deactivated_at.is_some();
        if self.watch.deactivated_at.is_some_and(|at| f.started_at <= at) {
            self.watch.failing_since = failing_since;
            return;
        }
        let was_alerted = std::mem::take(&mut self.watch.alerted);
        self.watch.deactivated_at = None;
        if was_alerted || was_deactivated {
            let (destination, at) = (self.destination.clone(), f.ended_at());
            let notice = NoticeId::of_recovery(&destination, seen.sequence);
            let about = About::Recovery { destination, at, failing_since, was_alerted, was_deactivated };
            called.push(self.notice(notice, seen, about));
            called.extend(self.event(EventType::DESTINATION_RECOVERED, seen));
        }
    }

    fn notice(&self, notice: NoticeId, seen: Seen<'_>, about: About) -> Called {
        let account = self.account.clone();
        Called::Notice(NoticeCalledFor { notice, account, since: seen.published_at, again: false, about })
    }

    fn event(&self, event_type: &str, seen: Seen<'_>) -> Option<Called> {
        let reference = seen.fact.reference();
        if reference.event_type.is_operational() {
            return None;
        }
        let event_type = EventType::parse(event_type).ok()?;
        let event_id = EventId::of_operation(&event_type, &self.destination, seen.sequence);
        let (reference, at) = (Arc::clone(reference), seen.fact.at());
        Some(Called::Event(Operation { event_id, event_type, reference, at }))
    }
}

impl Window {
    /// The most different errors that are counted one by one.
    pub const MOST_ERRORS: usize = 10;
    /// The most failures that are shown.
    pub const MOST_EXAMPLES: usize = 5;

    fn open(rules: Rules, now: Timestamp) -> Option<Self> {
        let length = SignedDuration::try_from(rules.window).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
        let (errors, examples) = (vec![], vec![]);
        (until > now).then_some(Self { from: now, until, count: 0, since: None, errors, examples })
    }

    fn add(&mut self, seen: Seen<'_>) {
        let (status, kind) = match seen.fact {
            DeliveryFact::Attempted(f) => (f.outcome.status_code(), f.outcome.error_kind()),
            _ => (0, None),
        };
        self.count += 1;
        self.since.get_or_insert(seen.published_at);
        let mut errors = self.errors.iter_mut();
        if let Some(error) = errors.find(|error| (error.status, error.kind) == (status, kind)) {
            error.count += 1;
        } else if self.errors.len() < Self::MOST_ERRORS {
            self.errors.push(ErrorCount { status, kind, count: 1 });
        }
        if self.examples.len() < Self::MOST_EXAMPLES {
            self.examples.push(seen.sequence);
        }
    }
}
