//! The notices about new leads of an interface. The first lead has a notice at once, and further leads within the
//! window share one.
//!
//! This works as [`super::destination_health`] does for failures, and the state is stored in the same way. A process
//! that repeats a step calls for the same notice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    called_for::{About, NoticeCalledFor, called_for_by_lead},
    window::{LeadExample, LeadWindow},
};
use crate::{
    ids::{AccountId, InterfaceId, NoticeId},
    lead::LeadEvent,
    registry::Interface,
};

/// The state of the notices about new leads of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceState {
    pub account: AccountId,
    pub interface: InterfaceId,
    /// The sequence in LEADS of the last event that this state includes.
    pub sequence: u64,
    /// The open window; `None` if none is open.
    pub window: Option<LeadWindow>,
}

/// A lead event, with its sequence and times.
#[derive(Debug, Clone, Copy)]
pub struct ObservedLead<'a> {
    pub event: &'a LeadEvent,
    /// Its sequence in LEADS.
    pub sequence: u64,
    /// When the broker stored it.
    pub published_at: Timestamp,
    pub now: Timestamp,
}

impl InterfaceState {
    /// The state of an interface without events.
    pub const fn new(account: AccountId, interface: InterfaceId) -> Self {
        Self { account, interface, sequence: 0, window: None }
    }

    /// Adds an event of this interface and returns the notice that it calls for. A redelivered event calls for no
    /// notice.
    ///
    /// `length` is the length of the window after a notice; if it is zero, each lead has its own notice at once.
    pub fn observe(
        &mut self,
        seen: ObservedLead<'_>,
        interface: &Interface,
        length: Duration,
    ) -> Option<NoticeCalledFor> {
        if seen.sequence <= self.sequence {
            return None;
        }
        self.sequence = seen.sequence;
        let called = called_for_by_lead(seen.event, seen.sequence, seen.published_at, interface)?;
        if let Some(window) = &mut self.window {
            window.add(seen);
            return None;
        }
        self.window = LeadWindow::open(length, seen.now);
        Some(called)
    }

    /// Closes a window that has ended and returns its notice. After a window without leads, the next lead has its own
    /// notice at once.
    pub fn tick(&mut self, length: Duration, now: Timestamp) -> Option<NoticeCalledFor> {
        let window = self.window.take_if(|window| window.until <= now)?;
        let first = window.examples.first()?.sequence;
        self.window = LeadWindow::open(length, now);
        Some(NoticeCalledFor {
            notice: NoticeId::of_further_leads(&self.account, &self.interface, first),
            account: self.account.clone(),
            since: window.since.unwrap_or(window.from),
            again: false,
            about: About::FurtherLeads { interface: self.interface.clone(), window },
        })
    }
}

impl LeadWindow {
    /// The maximum number of leads that a notice lists; further ones are only counted.
    pub const MAX_EXAMPLES: usize = 50;

    fn open(length: Duration, now: Timestamp) -> Option<Self> {
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
        (until > now).then_some(Self { from: now, until, count: 0, since: None, examples: vec![] })
    }

    fn add(&mut self, seen: ObservedLead<'_>) {
        self.count += 1;
        self.since.get_or_insert(seen.published_at);
        if self.examples.len() < Self::MAX_EXAMPLES {
            self.examples.push(LeadExample {
                lead: seen.event.lead.clone(),
                received_at: seen.event.received_at,
                sequence: seen.sequence,
            });
        }
    }
}
