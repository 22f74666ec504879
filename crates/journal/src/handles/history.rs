//! The redelivery history: facts that were recorded since a message was published. It is read only if the message may
//! be a redelivery.

use std::{
    collections::{HashMap, HashSet},
    ops::ControlFlow,
};

use async_nats::{
    datetime,
    jetstream::{Message, consumer::DeliverPolicy},
};
use domain::{
    AccountId, AnonymisationFact, AttemptId, DeliveryFact, DeliveryId, DestinationId, LeadId, LeadSequence, NoticeFact,
    NoticeId,
    delivery::NextStep,
    job::JobRef,
    notice::{NoticeProgress, NoticeSent},
};
use events::Record as _;
use jiff::Timestamp;

use crate::{
    connection::connect::Journal,
    consume::range::{answered, fetch},
    error::JournalError,
    handles::{Anonymised, Deliveries, Notices},
    streams::{StreamFact, StreamName},
    subjects,
};

const OPERATION: &str = "read the history";
/// How many facts one pull requests.
const MAX_FETCH: usize = 500;

/// An attempt of a delivery. Attempts are numbered through all rounds, so a greater number is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attempted {
    /// Counted from 1.
    pub attempt: u32,
    /// Rounds follow each other: an earlier one has ended when a later one begins.
    pub round: u32,
    /// Whether the delivery ended with this attempt.
    pub ended: bool,
}

/// The recorded attempts at a destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attempts {
    /// The latest finished attempt of each delivery.
    pub latest: HashMap<DeliveryId, Attempted>,
    /// The started executions, each with the number of its attempt.
    pub begun: Vec<(DeliveryId, u32, AttemptId)>,
}

/// Where the history begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// At this time of the broker.
    Time(Timestamp),
    /// After this sequence of the stream, up to which the history was read before.
    Sequence(u64),
}

/// A part of the history. It is complete up to `until`; it may or may not include later facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    pub found: T,
    /// The last sequence up to which the part is complete.
    pub until: u64,
}

impl Notices<'_> {
    /// The progress of an account's notices from `since` on: which recipients got which notice.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn sent(
        self,
        account: &AccountId,
        since: Since,
    ) -> Result<Found<HashMap<NoticeId, NoticeProgress>>, JournalError> {
        let mut notices: HashMap<NoticeId, NoticeProgress> = HashMap::new();
        let until = self.journal.stream(NoticeFact::STREAM).last_sequence().await?;
        let learn = |fact: NoticeFact| notices.entry(fact.notice()).or_default().learn(fact.notice(), &fact);
        self.journal.each_recorded(subjects::notices_of(account), since, learn).await?;
        Ok(Found { found: notices, until })
    }

    /// The confirmation mails that were sent to owners of addresses at `since` or later, for all accounts.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn confirmations(self, since: Timestamp) -> Result<Vec<NoticeSent>, JournalError> {
        let mut confirmations = vec![];
        let take = |fact| {
            if let NoticeFact::Sent(sent) = fact {
                confirmations.push(sent);
            }
        };
        self.journal.each_recorded(subjects::CONFIRMATIONS.to_owned(), Since::Time(since), take).await?;
        Ok(confirmations)
    }
}

impl Deliveries<'_> {
    /// The attempts at a destination that were made or started from `since` on.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn attempted(
        self,
        account: &AccountId,
        destination: &DestinationId,
        since: Since,
    ) -> Result<Found<Attempts>, JournalError> {
        let mut attempts = Attempts::default();
        let attempted = |fact| match fact {
            DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) => {
                let made = Attempted {
                    attempt: f.attempt,
                    round: f.round,
                    ended: !matches!(f.next_step, NextStep::RetryAt(_)),
                };
                let latest = attempts.latest.entry(f.reference.delivery);
                latest.and_modify(|known| *known = made.max(*known)).or_insert(made);
            }
            DeliveryFact::AttemptStarted(f) => attempts.begun.push((f.reference.delivery, f.attempt, f.attempt_id)),
            _ => {}
        };
        let subjects = [subjects::log_of(account, destination), subjects::blanked_of(account, destination)];
        let until = self.each_fact(subjects, since, attempted).await?;
        Ok(Found { found: attempts, until })
    }

    /// The latest success of a delivery to a destination from `since` on. The read ends at the first success at
    /// `enough` or later, so it is cheap where most deliveries succeed. Test deliveries do not count: their payload is
    /// not a lead.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn succeeded(
        self,
        account: &AccountId,
        destination: &DestinationId,
        since: Since,
        enough: Timestamp,
    ) -> Result<Found<Option<Timestamp>>, JournalError> {
        let mut until = self.journal.stream(DeliveryFact::STREAM).last_sequence().await?;
        let mut latest = None;
        for subject in [subjects::log_of(account, destination), subjects::blanked_of(account, destination)] {
            let from = start(since)?;
            self.journal
                .each_message_until(DeliveryFact::STREAM, subject, from, |message| {
                    latest = latest.max(success(&message));
                    if latest < Some(enough) {
                        return ControlFlow::Continue(());
                    }
                    until = message.info().map_or(until, |info| info.stream_sequence);
                    ControlFlow::Break(())
                })
                .await?;
            if latest >= Some(enough) {
                break;
            }
        }
        Ok(Found { found: latest, until })
    }
}

impl Anonymised<'_> {
    /// The leads of an account that were anonymised at `since` or later, each with the last sequence of LEADS that this
    /// covers.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn leads(
        self,
        account: &AccountId,
        since: Timestamp,
    ) -> Result<HashMap<LeadId, LeadSequence>, JournalError> {
        let mut leads: HashMap<LeadId, LeadSequence> = HashMap::new();
        let anonymised = |fact| {
            if let AnonymisationFact::LeadAnonymised(f) = fact {
                let until = leads.entry(f.lead).or_insert(f.until);
                *until = (*until).max(f.until);
            }
        };
        self.journal.each_recorded(subjects::anonymised_of(account), Since::Time(since), anonymised).await?;
        Ok(leads)
    }
}

impl Deliveries<'_> {
    /// The deliveries to a destination that were requested, attempted or abandoned from `since` on, so that they need
    /// no request.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn requested(
        self,
        account: &AccountId,
        destination: &DestinationId,
        since: Since,
    ) -> Result<Found<HashSet<DeliveryId>>, JournalError> {
        let mut requested = HashSet::new();
        let settles = |fact: DeliveryFact| match fact {
            DeliveryFact::Requested(_)
            | DeliveryFact::Attempted(_)
            | DeliveryFact::AttemptBlanked(_)
            | DeliveryFact::Abandoned(_) => {
                requested.insert(fact.reference().delivery);
            }
            // `Held` alone does not settle a delivery: it may not be parked yet. Once it is, a request is recorded,
            // too.
            DeliveryFact::Held(_)
            | DeliveryFact::AttemptStarted(_)
            | DeliveryFact::Released(_)
            | DeliveryFact::RetryRequested(_) => {}
        };
        let subjects = [subjects::todo_of, subjects::log_of, subjects::blanked_of];
        let until = self.each_fact(subjects.map(|of| of(account, destination)), since, settles).await?;
        Ok(Found { found: requested, until })
    }

    /// The ordered deliveries to a destination that were released from `since` on.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn released(
        self,
        account: &AccountId,
        destination: &DestinationId,
        since: Since,
    ) -> Result<Found<HashSet<DeliveryId>>, JournalError> {
        let mut released = HashSet::new();
        let release = |fact: DeliveryFact| {
            if let DeliveryFact::Released(f) = fact {
                released.insert(f.reference.delivery);
            }
        };
        let until = self.each_fact([subjects::todo_of(account, destination)], since, release).await?;
        Ok(Found { found: released, until })
    }

    /// The requests that job runners have appended for a job at `since` or later.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn requested_by_job(self, job: &JobRef, since: Timestamp) -> Result<Vec<DeliveryFact>, JournalError> {
        let mut facts = vec![];
        let own = |fact: DeliveryFact| {
            if fact.job() == Some(job.job) {
                facts.push(fact);
            }
        };
        self.journal.each_recorded(subjects::todo_of_account(&job.account), Since::Time(since), own).await?;
        Ok(facts)
    }

    /// Passes every fact about deliveries on these subjects to `take`. Returns the last sequence up to which they are
    /// complete.
    async fn each_fact(
        self,
        subjects: impl IntoIterator<Item = String>,
        since: Since,
        mut take: impl FnMut(DeliveryFact),
    ) -> Result<u64, JournalError> {
        let until = self.journal.stream(DeliveryFact::STREAM).last_sequence().await?;
        for subject in subjects {
            self.journal.each_recorded(subject, since, &mut take).await?;
        }
        Ok(until)
    }
}

impl Journal {
    /// Passes every fact of a subject to `take`, one after another, because there may be many.
    async fn each_recorded<T: StreamFact>(
        &self,
        filter_subject: String,
        since: Since,
        mut take: impl FnMut(T),
    ) -> Result<(), JournalError> {
        self.each_message(T::STREAM, filter_subject, start(since)?, |message| {
            if let Ok(fact) = T::decode(message.payload.clone()) {
                take(fact);
            }
        })
        .await
    }

    /// Passes every message of a subject to `take`, one after another.
    pub(crate) async fn each_message(
        &self,
        stream: StreamName,
        filter_subject: String,
        deliver_policy: DeliverPolicy,
        mut take: impl FnMut(Message),
    ) -> Result<(), JournalError> {
        self.each_message_until(stream, filter_subject, deliver_policy, |message| {
            take(message);
            ControlFlow::Continue(())
        })
        .await
    }

    /// Passes every message of a subject to `take`, until `take` breaks.
    async fn each_message_until(
        &self,
        stream: StreamName,
        filter_subject: String,
        deliver_policy: DeliverPolicy,
        mut take: impl FnMut(Message) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let consumer = self.reader(stream, filter_subject, deliver_policy).await?;
        loop {
            let batch = answered(fetch(&consumer, MAX_FETCH)).await?;
            if batch.is_empty() || batch.into_iter().try_for_each(&mut take).is_break() {
                return Ok(());
            }
        }
    }
}

fn start(since: Since) -> Result<DeliverPolicy, JournalError> {
    Ok(match since {
        Since::Time(time) => {
            let start_time = datetime::from_nanos(time.as_nanosecond());
            DeliverPolicy::ByStartTime { start_time: start_time.map_err(|e| JournalError::unavailable(OPERATION, e))? }
        }
        Since::Sequence(sequence) => DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 },
    })
}

/// When the delivery of the message succeeded; `None` if the message is not about a success.
fn success(message: &Message) -> Option<Timestamp> {
    match DeliveryFact::decode(message.payload.clone()).ok()? {
        DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) => {
            (f.next_step == NextStep::Succeeded && !f.reference.event_type.is_test()).then(|| f.ended_at())
        }
        _ => None,
    }
}
