//! The mailer: it looks up a notice, sends its mails, appends the facts about them and acknowledges, in this order.
//!
//! All notifiers share the work queues. Notices about leads have a separate work queue, so that no failure notice
//! waits behind them. If the mail server refuses a notice for now, the notice is redelivered when the pause of the
//! server or the recipient is over (`crate::sending::pauses`). After `--mail-retry-for` the mailer gives it up and
//! appends a fact about that.

use std::time::Duration;

use domain::{
    AnonymisationFact, DeliveryFact, NoticeFact, NoticeId, RegistryFact, delivery::MAX_CHILD_AGE, registry::Change,
};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use journal::{JournalError, Message, StreamName};
use runtime::{
    ErrorChain as _, processing,
    trace::{self, TraceContext, Traced as _},
};
use tracing::Span;

use crate::{
    links::confirming::{self, Asking},
    sending::mails::{Call, Mails, NotifyError},
    writing::builder::{NoticeBuilder, PreparedNotice},
};

/// The maximum number of messages in flight in each of two groups: those about leads and consent, and all others.
/// Heartbeats keep the broker from redelivering notices that wait for a connection.
const MAX_IN_FLIGHT: usize = 32;
/// How long to wait until the registry view contains a change that the work queue delivered.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);
/// The first and the longest delay of a redelivery. After a refusal of the mail server, its pause is the delay.
const RETRY_DELAY: Duration = Duration::from_secs(2);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

pub(crate) struct Mailer {
    pub(crate) builder: NoticeBuilder,
    pub(crate) mails: Mails,
    /// How long a mail is retried (`--mail-retry-for`).
    pub(crate) patience: SignedDuration,
    /// `None` if there is no master key, which signs the codes.
    pub(crate) asking: Option<Asking>,
    /// Locked while an owner is asked for consent, so that each confirmation mail is counted before the next one.
    pub(crate) one_question: tokio::sync::Mutex<()>,
}

impl Mailer {
    pub(crate) async fn run(self) {
        let journal = &self.builder.journal;
        let (mut called_for, mut leads) = (journal.notices().work_queue(), journal.notices().lead_work_queue());
        let (mut changes, mut settings) =
            (journal.registry().destination_work_queue(), journal.registry().address_work_queue());
        let (mut attempts, mut events) = (journal.deliveries().blanked_work_queue(), journal.anonymised().work_queue());
        let (keeps_mails, asks) = (self.mails.transport.keeps_mails(), self.asking.is_some());
        if !keeps_mails {
            // A mail server replaced the outbox; messages for the outbox would wait for ever.
            for removed in [attempts.remove().await, events.remove().await] {
                if let Err(error) = removed {
                    tracing::warn!(error = error.chain(), "cannot remove work queue of the outbox; restart to retry");
                }
            }
        }
        let (mut in_flight, mut leads_in_flight) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let (room, room_for_leads) = (in_flight.len() < MAX_IN_FLIGHT, leads_in_flight.len() < MAX_IN_FLIGHT);
            tokio::select! {
                called = called_for.next(), if room => match called {
                    Some(called) => in_flight.push(self.answer_call(called).boxed()),
                    None => break,
                },
                called = leads.next(), if room_for_leads => match called {
                    Some(called) => leads_in_flight.push(self.answer_call(called).boxed()),
                    None => break,
                },
                change = changes.next(), if room => match change {
                    Some(change) => in_flight.push(self.answer_change(change).boxed()),
                    None => break,
                },
                change = settings.next(), if room_for_leads && asks => match change {
                    Some(change) => leads_in_flight.push(self.ask_owners(change).boxed()),
                    None => break,
                },
                fact = attempts.next(), if room && keeps_mails => match fact {
                    Some(fact) => in_flight.push(self.forget_attempt(fact).boxed()),
                    None => break,
                },
                fact = events.next(), if room && keeps_mails => match fact {
                    Some(fact) => in_flight.push(self.forget_event(fact).boxed()),
                    None => break,
                },
                Some(()) = in_flight.next() => {}
                Some(()) = leads_in_flight.next() => {}
            }
        }
        while in_flight.next().await.is_some() {}
        while leads_in_flight.next().await.is_some() {}
    }

    async fn answer_call(&self, message: Message<NoticeFact>) {
        let NoticeFact::CalledFor(called) = &message.value else { return message.ack().await };
        let prepared = self.builder.of_call(called);
        let precedence = called.about.kind().has_precedence();
        let known = (called.since, called.again);
        Box::pin(self.handle(&message, (called.notice, called.about.collects()), known, precedence, prepared)).await;
    }

    /// Sends the notice about a destination that a rule deactivated.
    async fn answer_change(&self, message: Message<RegistryFact>) {
        let Change::DestinationDeactivated(account, id, why) = &message.value.change else {
            return message.ack().await;
        };
        let notice = NoticeId::of_deactivation(id, message.sequence);
        let prepared = self.builder.of_deactivation(notice, account, id, why);
        Box::pin(self.handle(&message, (notice, false), (message.published_at, false), true, prepared)).await;
    }

    /// Asks the owners of the addresses that a change names as unconfirmed.
    async fn ask_owners(&self, message: Message<RegistryFact>) {
        let (_, waiting) = message.value.change.emails();
        let (Some(asking), false) = (&self.asking, waiting.is_empty()) else { return message.ack().await };
        let doing = async {
            let _one = self.one_question.lock().await;
            let mut first = Ok(());
            for email in waiting {
                let asked = self.ask_owner(&message, email, asking).await;
                first = first.and(asked);
            }
            first
        };
        let asking = async {
            match message.with_heartbeat(doing).await {
                Ok(()) => message.ack().await,
                Err(error) => self.retry(&message, "cannot ask the owner of an address for consent", error).await,
            }
        };
        Box::pin(asking.traced(Span::none(), &message.trace)).await;
    }

    async fn ask_owner(
        &self,
        message: &Message<RegistryFact>,
        email: &str,
        asking: &Asking,
    ) -> Result<(), NotifyError> {
        let (Some(account), _, _) = message.value.change.entity() else { return Ok(()) };
        let notice = NoticeId::of_confirmation(account, message.sequence, email);
        // The work queue may deliver the change before the registry view contains it.
        let known = self.builder.registry.at_least(message.sequence, REGISTRY_TIMEOUT).await;
        let registry = known.ok_or(NotifyError::Registry(message.sequence))?;
        let prepared = self.builder.of_confirmation(&registry, notice, account, email, asking);
        let Some(prepared) = prepared else { return Ok(()) };
        let sent = self.builder.journal.notices().confirmations(confirming::counted_since(Timestamp::now())).await?;
        if let Err(reason) = confirming::may_ask(&sent, account, email) {
            tracing::info!(%account, reason, "skipped the confirmation mail");
            return Ok(());
        }
        let call = Call { since: message.published_at, again: false, as_of: None, late: self.is_late(message) };
        Box::pin(self.mails.notify(&prepared, &call, &message.trace)).await
    }

    /// Removes the mail about an attempt of an anonymised lead from the outbox. A mail that a mail server has taken
    /// cannot be recalled.
    async fn forget_attempt(&self, message: Message<DeliveryFact>) {
        match &message.value {
            DeliveryFact::AttemptBlanked(f) => {
                self.forget(&message, NoticeId::of_failure(f.reference.delivery, f.round)).await;
            }
            _ => message.ack().await,
        }
    }

    /// Removes the mail about an anonymised lead from the outbox.
    async fn forget_event(&self, message: Message<AnonymisationFact>) {
        match &message.value {
            AnonymisationFact::EventBlanked(f) => {
                self.forget(&message, NoticeId::of_lead(&f.event.account, &f.event.event_id)).await;
            }
            AnonymisationFact::LeadAnonymised(_) => message.ack().await,
        }
    }

    async fn forget<T>(&self, message: &Message<T>, notice: NoticeId) {
        let dedup = self.mails.dedup.begin(notice);
        if dedup.is_none() {
            return message.nak(RETRY_DELAY).await;
        }
        match self.mails.transport.forget(notice) {
            Ok(()) => message.ack().await,
            Err(error) => {
                message.trace.within(|| {
                    tracing::warn!(%notice, error = error.chain(), "cannot remove mail from the outbox; retrying");
                });
                message.nak(MAX_RETRY_DELAY).await;
            }
        }
    }

    async fn handle<T>(
        &self,
        message: &Message<T>,
        (notice, collects): (NoticeId, bool),
        (since, again): (Timestamp, bool),
        precedence: bool,
        prepared: impl Future<Output = Result<Option<PreparedNotice>, JournalError>>,
    ) {
        let (span, trace) = enter(message, notice, collects);
        let late = self.is_late(message);
        if let (Some(wait), false) = (self.mails.transport.wait(precedence), late) {
            return message.nak(wait.after).await;
        }
        let Some(_begun) = self.mails.dedup.begin(notice) else {
            // Another task of this process sends the notice and acknowledges for both.
            return;
        };
        let as_of = message.may_be_repeat;
        let again = again || as_of.is_some();
        let dedup = async {
            match prepared.await? {
                Some(prepared) => {
                    for failure in &prepared.failures {
                        let failure = TraceContext::of_ids(failure.trace_id, failure.span_id);
                        if failure.ids() != message.trace.ids() {
                            trace::link(&span, &failure, "failure");
                        }
                    }
                    self.mails.notify(&prepared, &Call { since, again, as_of, late }, &trace).await
                }
                None => Ok(()),
            }
        };
        let handling = async {
            match message.with_heartbeat(dedup).await {
                Ok(()) => message.ack().await,
                Err(error) => self.retry(message, "cannot send notice", error).await,
            }
        };
        handling.traced(span.clone(), &trace).await;
    }

    fn is_late<T>(&self, message: &Message<T>) -> bool {
        Timestamp::now().duration_since(message.published_at) > self.patience
    }

    /// Returns the message to the work queue. The error of a mail that was not tried is not logged, because it repeats
    /// an earlier refusal.
    async fn retry<T>(&self, message: &Message<T>, operation: &str, error: NotifyError) {
        let times = u32::try_from(message.delivered.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
        let (delay, is_new) = match &error {
            NotifyError::Transport(refusal) => (refusal.again_after().unwrap_or(RETRY_DELAY), refusal.was_tried()),
            NotifyError::Journal(_) | NotifyError::Registry(_) => {
                (RETRY_DELAY.saturating_mul(1 << times).min(MAX_RETRY_DELAY), true)
            }
        };
        let error = anyhow::Error::from(error);
        if is_new {
            tracing::warn!(error = runtime::chain_of(&error), ?delay, "{operation}; retrying");
        }
        message.nak(delay).await;
    }
}

/// The span of a notice: a child of the span that called for it, unless that span is old or the notice collects several
/// failures or leads.
fn enter<T>(message: &Message<T>, notice: NoticeId, collects: bool) -> (Span, TraceContext) {
    let make = || processing!(StreamName::Notices, leadline.notice.id = %notice);
    let is_late = Timestamp::now().duration_since(message.published_at) > MAX_CHILD_AGE;
    match collects || is_late {
        true => TraceContext::enter_linked(&[(message.trace.clone(), "called_for")], make),
        false => TraceContext::enter(Some(&message.trace), make),
    }
}
