//! The work queues that services share. The table in `consumers.rs` has the subjects and limits of each.

use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact, Work};
use events::Record;

use crate::{
    connection::connect::Journal,
    consume::{
        spec::{Lifetime, WorkQueueSpec},
        work_queue::WorkQueue,
    },
    consumers::{self, Consumer},
    handles::{Anonymised, Deliveries, Jobs, Leads, Notices, RegistryLog, Timers},
    subjects::Traffic,
};

impl Leads<'_> {
    /// Lead events of a kind of traffic, for the router.
    pub fn work_queue(self, traffic: Traffic) -> WorkQueue<LeadEvent> {
        self.journal.shared_queue(match traffic {
            Traffic::Steady => consumers::ROUTER,
            Traffic::Burst => consumers::BURST_ROUTER,
        })
    }
}

impl Deliveries<'_> {
    /// Facts that request an attempt, for the dispatchers.
    pub fn work_queue(self) -> WorkQueue<DeliveryFact> {
        self.journal.shared_queue(consumers::SENDER)
    }

    /// Attempts of anonymised leads, without their content, for the outbox.
    pub fn blanked_work_queue(self) -> WorkQueue<DeliveryFact> {
        self.journal.shared_queue(consumers::OUTBOX)
    }
}

impl Timers<'_> {
    /// Timers that are due, for the dispatchers.
    pub fn work_queue(self) -> WorkQueue<Work> {
        self.journal.shared_queue(consumers::TIMERS)
    }
}

impl Notices<'_> {
    /// Notices to send, for the mailers.
    pub fn work_queue(self) -> WorkQueue<NoticeFact> {
        self.journal.shared_queue(consumers::MAILER)
    }

    /// Notices about leads to send, for the mailers.
    pub fn lead_work_queue(self) -> WorkQueue<NoticeFact> {
        self.journal.shared_queue(consumers::LEAD_MAILER)
    }
}

impl RegistryLog<'_> {
    /// Changes of the configuration, for the mailers, which ask the owners of new addresses for consent.
    pub fn address_work_queue(self) -> WorkQueue<RegistryFact> {
        self.journal.shared_queue(consumers::CONFIRMATION_MAILER)
    }

    /// Changes of destinations, for the mailers, which mail people about deactivations.
    pub fn destination_work_queue(self) -> WorkQueue<RegistryFact> {
        self.journal.shared_queue(consumers::DEACTIVATION_MAILER)
    }
}

impl Anonymised<'_> {
    /// Events of anonymised leads, without their content, for the outbox.
    pub fn work_queue(self) -> WorkQueue<AnonymisationFact> {
        self.journal.shared_queue(consumers::LEAD_OUTBOX)
    }
}

impl Jobs<'_> {
    /// Facts about jobs, for the job runner.
    pub fn work_queue(self) -> WorkQueue<JobFact> {
        self.journal.shared_queue(consumers::JOB_RUNNER)
    }
}

impl Journal {
    fn shared_queue<T: Record>(&self, consumer: Consumer) -> WorkQueue<T> {
        self.work_queue(WorkQueueSpec {
            stream: consumer.stream,
            name: consumer.durable.to_owned(),
            filter: consumer.subjects.to_owned(),
            max_ack_pending: consumer.max_ack_pending,
            fetch: consumer.fetch,
            lifetime: Lifetime::Durable,
        })
    }
}
