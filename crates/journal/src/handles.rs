//! Handles, each with the operations on one stream. A handle borrows the journal and costs nothing; the modules of this
//! crate implement its methods.

pub(crate) mod anonymise;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod known_events;
pub(crate) mod lane_reports;
pub(crate) mod notifier_state;
pub(crate) mod quarantine;

use std::marker::PhantomData;

use crate::{
    connection::connect::Journal,
    streams::{StreamFact, StreamName},
};

macro_rules! handles {
    ($($(#[$doc:meta])+ $accessor:ident: $Handle:ident;)+) => {
        $(
            $(#[$doc])+
            #[derive(Debug, Clone, Copy)]
            pub struct $Handle<'journal> {
                pub(crate) journal: &'journal Journal,
            }
        )+

        impl Journal {
            $(
                $(#[$doc])+
                pub const fn $accessor(&self) -> $Handle<'_> {
                    $Handle { journal: self }
                }
            )+
        }
    };
}

handles! {
    /// LEADS: lead events with their payloads.
    leads: Leads;
    /// REGISTRY: facts about the configuration. [`RegistryView`](crate::RegistryView) is its live copy.
    registry: RegistryLog;
    /// DELIVERIES: facts about deliveries.
    deliveries: Deliveries;
    /// TIMERS: attempts that are due later.
    timers: Timers;
    /// PARKED: work that its lane cannot take now.
    parking: Parking;
    /// ORDERED: the ordered queues.
    ordered: Ordered;
    /// The pending work on TIMERS, on PARKED and in the work queues.
    pending_work: PendingWork;
    /// POSITIONS: leases, the fingerprint of the master key, used log-in links.
    positions: Positions;
    /// POSITIONS: the state of the notifiers.
    notifier_state: NotifierState;
    /// NOTICES: notices to send, and notices that were sent.
    notices: Notices;
    /// JOBS: facts about jobs.
    jobs: Jobs;
    /// ANONYMISED: which leads were anonymised, and what is left of their events.
    anonymised: Anonymised;
    /// POISON: unreadable messages.
    quarantine: Quarantine;
    /// Requests to query about events that were stored before. No stream stores them.
    known_events: KnownEvents;
    /// Reports about lanes. No stream stores them.
    lanes: Lanes;
}

/// The facts of one type, in their stream.
#[derive(Debug)]
pub struct Facts<'journal, T> {
    pub(crate) journal: &'journal Journal,
    fact: PhantomData<fn() -> T>,
}

/// A stream with facts of any type.
#[derive(Debug, Clone, Copy)]
pub struct Stream<'journal> {
    pub(crate) journal: &'journal Journal,
    pub(crate) name: StreamName,
}

impl Journal {
    /// The facts of one type, in their stream.
    pub const fn facts<T: StreamFact>(&self) -> Facts<'_, T> {
        Facts { journal: self, fact: PhantomData }
    }

    /// A stream with facts of any type.
    pub const fn stream(&self, name: StreamName) -> Stream<'_> {
        Stream { journal: self, name }
    }
}
