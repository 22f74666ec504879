//! New leads of an interface, as far as people have to be told: the first at once, further ones within the window together.
//!
//! It works as [`super::watch`] does for failures, and its state is stored in the same way: a notice of several leads is
//! decided once, and a process that repeats the step comes to the same notice.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{About, NoticeCalledFor, called_for_by_lead};
use crate::{
    ids::{AccountId, InterfaceId, LeadId, NoticeId},
    lead::LeadEvent,
    registry::Interface,
};

/// New leads of an interface that were not told yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadWatch {
    /// Whose leads.
    pub account: AccountId,
    /// Where they came from.
    pub interface: InterfaceId,
    /// The place in LEADS of the last event that is part of this.
    pub sequence: u64,
    /// What is collected at the moment.
    pub window: Option<LeadWindow>,
}

/// Leads that are told together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadWindow {
    /// When it was opened.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// How many leads there are in it.
    pub count: u64,
    /// When the broker took the first of them.
    pub since: Option<Timestamp>,
    /// The first of them, at most [`LeadWindow::MAX_EXAMPLES`].
    pub examples: Vec<LeadExample>,
}

/// A lead in a notice of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadExample {
    /// The lead.
    pub lead: LeadId,
    /// When it was received.
    pub received_at: Timestamp,
    /// The place of its event in LEADS.
    pub sequence: u64,
}

/// A lead event, and what is known about its record.
#[derive(Debug, Clone, Copy)]
pub struct SeenLead<'a> {
    /// The event.
    pub event: &'a LeadEvent,
    /// Its place in LEADS.
    pub sequence: u64,
    /// When the broker took it.
    pub published_at: Timestamp,
    /// The time now.
    pub now: Timestamp,
}

impl LeadWatch {
    /// An interface of which nothing was seen yet.
    pub const fn new(account: AccountId, interface: InterfaceId) -> Self {
        Self { account, interface, sequence: 0, window: None }
    }

    /// Adds an event of this interface; the notice that it calls for. An event that is known calls for none.
    ///
    /// `length`: for how long leads are collected after a notice; zero: each is told at once.
    pub fn observe(&mut self, seen: SeenLead<'_>, interface: &Interface, length: Duration) -> Option<NoticeCalledFor> {
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

    /// What the time itself calls for: a window has ended. After one without leads the next lead is told at once again.
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
    /// The most leads that a notice lists; further ones only count.
    pub const MAX_EXAMPLES: usize = 50;

    fn open(length: Duration, now: Timestamp) -> Option<Self> {
        let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
        let until = now.checked_add(length).unwrap_or(Timestamp::MAX);
        (until > now).then_some(Self { from: now, until, count: 0, since: None, examples: vec![] })
    }

    fn add(&mut self, seen: SeenLead<'_>) {
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
