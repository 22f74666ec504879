//! The work queues that services share, with the name of the consumer of each.

use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact, Work};
use events::Record;

use crate::{
    Journal, StreamName, Traffic, WorkQueue,
    consume::work_queue::{Lifetime, MAX_FETCH, WorkQueueSpec},
    handles::{Anonymised, Deliveries, Jobs, Leads, Notices, RegistryLog, Timers},
    subjects,
};

/// How many messages of a work queue may be unacknowledged, over all processes.
const MAX_ACK_PENDING: i64 = 20_000;
/// How many notices one pull requests. Few, because a slow mail server holds up each of them, and a message that waits
/// in the process for longer than [`ACK_WAIT`](crate::ACK_WAIT) is redelivered.
const MAX_NOTICE_FETCH: usize = 4;
/// How many notices of a work queue may be unacknowledged. Notices that wait for the end of a pause of the mail server
/// are unacknowledged, too.
const MAX_NOTICES_ACK_PENDING: i64 = 5_000;
/// How many jobs run at once, over all processes; the others wait.
const MAX_JOBS_ACK_PENDING: i64 = 64;

/// The consumers that deliver lead events to be routed.
pub(crate) const fn router(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Steady => "router",
        Traffic::Burst => "router-bursts",
    }
}
/// The consumer that delivers the facts that request an attempt.
pub(crate) const SENDER: &str = "sender";

impl Leads<'_> {
    /// Lead events of a kind of traffic, for the router.
    pub fn work_queue(self, traffic: Traffic) -> WorkQueue<LeadEvent> {
        self.journal.durable_queue(StreamName::Leads, router(traffic), subjects::leads(traffic))
    }
}

impl Deliveries<'_> {
    /// Facts that request an attempt, for the dispatchers.
    pub fn work_queue(self) -> WorkQueue<DeliveryFact> {
        self.journal.durable_queue(StreamName::Deliveries, SENDER, subjects::TODO)
    }

    /// Attempts of anonymised leads, without their content, for the outbox.
    pub fn blanked_work_queue(self) -> WorkQueue<DeliveryFact> {
        self.journal.durable_queue(StreamName::Deliveries, "outbox", subjects::BLANKED_ATTEMPTS)
    }
}

impl Timers<'_> {
    /// Timers that are due, for the dispatchers.
    pub fn work_queue(self) -> WorkQueue<Work> {
        self.journal.durable_queue(StreamName::Timers, "due", subjects::DUE)
    }
}

impl Notices<'_> {
    /// Notices to send, for the mailers.
    pub fn work_queue(self) -> WorkQueue<NoticeFact> {
        self.queue("mailer", subjects::CALLED_FOR)
    }

    /// Notices about leads to send, for the mailers.
    pub fn lead_work_queue(self) -> WorkQueue<NoticeFact> {
        self.queue("mailer-leads", subjects::CALLED_FOR_LEADS)
    }

    fn queue(self, name: &str, filter: &str) -> WorkQueue<NoticeFact> {
        let (name, filter, lifetime) = (name.to_owned(), filter.to_owned(), Lifetime::Durable);
        let stream = StreamName::Notices;
        self.journal.work_queue(WorkQueueSpec {
            stream,
            name,
            filter,
            max_ack_pending: MAX_NOTICES_ACK_PENDING,
            fetch: MAX_NOTICE_FETCH,
            lifetime,
        })
    }
}

impl RegistryLog<'_> {
    /// Changes of the configuration, for the mailers, which ask the owners of new addresses for consent.
    pub fn address_work_queue(self) -> WorkQueue<RegistryFact> {
        self.journal.durable_queue(StreamName::Registry, "confirmer", subjects::REGISTRY)
    }

    /// Changes of destinations, for the mailers, which tell people about deactivations.
    pub fn destination_work_queue(self) -> WorkQueue<RegistryFact> {
        self.journal.durable_queue(StreamName::Registry, "notifier", subjects::DESTINATIONS)
    }
}

impl Anonymised<'_> {
    /// Events of anonymised leads, without their content, for the outbox.
    pub fn work_queue(self) -> WorkQueue<AnonymisationFact> {
        self.journal.durable_queue(StreamName::Anonymised, "outbox-leads", subjects::BLANKED_EVENTS)
    }
}

impl Jobs<'_> {
    /// Facts about jobs, for the job runner. The fact that starts a job stays unacknowledged while the job runs.
    pub fn work_queue(self) -> WorkQueue<JobFact> {
        self.journal.work_queue(WorkQueueSpec {
            stream: StreamName::Jobs,
            name: "worker".to_owned(),
            filter: subjects::JOBS.to_owned(),
            max_ack_pending: MAX_JOBS_ACK_PENDING,
            fetch: MAX_FETCH,
            lifetime: Lifetime::Durable,
        })
    }
}

impl Journal {
    fn durable_queue<T: Record>(&self, stream: StreamName, name: &str, filter: &str) -> WorkQueue<T> {
        let (name, filter) = (name.to_owned(), filter.to_owned());
        self.work_queue(WorkQueueSpec {
            stream,
            name,
            filter,
            max_ack_pending: MAX_ACK_PENDING,
            fetch: MAX_FETCH,
            lifetime: Lifetime::Durable,
        })
    }
}
