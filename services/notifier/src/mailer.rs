//! The mailer: it looks up a notice, sends its mails, appends the facts about them and acknowledges, in this order.
//!
//! All notifiers share the work queues. Notices about leads have a work queue of their own, so that no failure notice
//! waits behind them. A notice that the mail server refuses for now is redelivered when the pause of the server or the
//! recipient is over (`crate::pauses`), until the mailer gives it up and appends a fact about that.

use std::time::Duration;

use domain::{
    AnonymisationFact, DeliveryFact, NoticeFact, NoticeId, RegistryFact,
    delivery::MAX_CHILD_AGE,
    notice::{NoticeProgress, NoticeReached},
    registry::Change,
};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use journal::{JournalError, Message, StreamName};
use runtime::{
    ErrorChain as _, crash, processing,
    trace::{self, TraceContext, Traced as _},
};
use tokio::time::Instant;
use tracing::Span;

use crate::{
    builder::{NoticeBuilder, PreparedNotice},
    confirming::{self, Asking},
    dedup::Dedup,
    email::Sender,
    history::History,
    measured,
    quota::Quota,
    results::Results,
    transport::{Transport, TransportError},
};

/// How many notices of a work queue are in flight, at most. Heartbeats keep the broker from redelivering notices that
/// wait for a connection.
const MAX_IN_FLIGHT: usize = 32;
/// How long to wait until the registry view contains a change that the work queue delivered.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);
/// The first and the longest delay of a retry while the broker does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(2);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

pub(crate) struct Mailer {
    pub(crate) builder: NoticeBuilder,
    pub(crate) transport: Transport,
    pub(crate) sender: Sender,
    pub(crate) dedup: Dedup,
    pub(crate) history: History,
    pub(crate) quota: Quota,
    /// How long a mail is retried (`--mail-retry-for`).
    pub(crate) patience: SignedDuration,
    /// `None` if there is no master key, because nothing can sign the codes then.
    pub(crate) asking: Option<Asking>,
    /// Held while an owner is asked, so that each question is counted before the next.
    pub(crate) one_question: tokio::sync::Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("cannot send mail")]
    Transport(#[from] TransportError),
    #[error("the registry view does not contain the change at sequence {0} yet")]
    Registry(u64),
}

/// The state of a notice before it is sent.
struct Call {
    /// No mail about it went out before this time.
    since: Timestamp,
    /// Whether it may have been sent before.
    again: bool,
    /// NOTICES has to be read at or after this instant to know whether it was sent; `None` if a recent read is enough.
    as_of: Option<Instant>,
    /// Whether the time for retries is over, so that the next refusal is final.
    late: bool,
}

impl Mailer {
    pub(crate) async fn run(self) {
        let journal = &self.builder.journal;
        let (mut called_for, mut leads) = (journal.notices().work_queue(), journal.notices().lead_work_queue());
        let (mut changes, mut settings) =
            (journal.registry().destination_work_queue(), journal.registry().address_work_queue());
        let (mut attempts, mut events) = (journal.deliveries().blanked_work_queue(), journal.anonymised().work_queue());
        let (keeps_mails, asks) = (self.transport.keeps_mails(), self.asking.is_some());
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
        Box::pin(self.notify(&prepared, &call, &message.trace)).await
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
        let dedup = self.dedup.begin(notice);
        if dedup.is_none() {
            return message.nak(RETRY_DELAY).await;
        }
        match self.transport.forget(notice) {
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
        if let (Some(wait), false) = (self.transport.wait(precedence), late) {
            return message.nak(wait.after).await;
        }
        let Some(_begun) = self.dedup.begin(notice) else {
            // Another task of this process sends the notice and acknowledges for both.
            return;
        };
        let as_of = message.may_be_repeat;
        let again = again || as_of.is_some();
        let dedup = async {
            match prepared.await? {
                Some(prepared) => {
                    for failure in &prepared.failures {
                        trace::link(&span, &TraceContext::of_ids(failure.trace_id, failure.span_id), "failure");
                    }
                    self.notify(&prepared, &Call { since, again, as_of, late }, &trace).await
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

    /// Returns the message to the work queue. A mail that was not tried is not logged, as it repeats an earlier
    /// refusal.
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

    async fn notify(&self, prepared: &PreparedNotice, call: &Call, trace: &TraceContext) -> Result<(), NotifyError> {
        let (account, email, journal) = (&prepared.account, &prepared.email, &self.builder.journal);
        if email.recipients.is_empty() {
            let subject = email.subject();
            tracing::info!(
                %account,
                subject,
                "skipped notice: no address is confirmed and wants mails of this kind"
            );
            return Ok(());
        }
        let progress = match call.again {
            true => self.history.progress(account, email.notice, call.since, call.as_of).await?,
            false => NoticeProgress::default(),
        };
        if progress.done {
            return Ok(());
        }
        let results = self.send(prepared, progress, call.late, trace).await?;
        if let Some(error) = results.later
            && !call.late
        {
            return Err(error.into());
        }
        let now = Timestamp::now();
        if let Some(reason) = results.reason {
            // The failure or the lead stays visible in the API; only the mail is lost.
            let (subject, recipients) = (email.subject(), &results.untold);
            tracing::error!(%account, subject, ?recipients, reason, "gave up notice");
            let mails = results.untold.len();
            journal.notices().append(&prepared.given_up(results.untold, reason, now), trace).await?;
            measured::given_up(mails);
        }
        if !results.reached.is_empty() {
            journal.notices().append(&prepared.sent_to(results.reached, now), trace).await?;
        }
        crash::point("after a notice is stored");
        Ok(())
    }

    /// Sends each recipient a separate mail, so that one refused address does not keep the notice from the others.
    async fn send(
        &self,
        prepared: &PreparedNotice,
        progress: NoticeProgress,
        late: bool,
        trace: &TraceContext,
    ) -> Result<Results, JournalError> {
        let (email, mut results) = (&prepared.email, Results::default());
        for recipient in &email.recipients {
            let has_it = progress.reached.contains(recipient) || self.dedup.was_sent(email.notice, recipient);
            let sent = if has_it { Ok(()) } else { self.transport(prepared, recipient).await };
            match sent {
                Ok(()) => {
                    if !has_it && email.recipients.len() > 1 {
                        self.record_reached(prepared, recipient, trace).await?;
                    }
                    results.reached.push(recipient.clone());
                }
                Err(error) => {
                    if let TransportError::Refused(why) = &error {
                        self.dedup.remember_refused(email.notice, recipient, why.clone());
                    }
                    results.add(recipient, error, late);
                }
            }
        }
        Ok(results)
    }

    async fn transport(&self, prepared: &PreparedNotice, recipient: &str) -> Result<(), TransportError> {
        let (account, precedence) = (&prepared.account, prepared.email.kind.has_precedence());
        if let Some(why) = self.dedup.was_refused(prepared.email.notice, recipient) {
            return Err(TransportError::Refused(why));
        }
        let left_out =
            self.quota.take(account, recipient, precedence, Instant::now()).map_err(TransportError::Refused)?;
        let mail = self.sender.mail(&prepared.email, recipient, left_out);
        let sent = match mail {
            Ok(mail) => self.transport.send(&mail, precedence).await,
            Err(why) => Err(TransportError::Refused(why)),
        };
        if let Err(error) = sent {
            self.quota.give_back(account, recipient, left_out);
            return Err(error);
        }
        self.dedup.remember(prepared.email.notice, recipient);
        crash::point("after a mail is sent");
        Ok(())
    }

    async fn record_reached(
        &self,
        prepared: &PreparedNotice,
        recipient: &str,
        trace: &TraceContext,
    ) -> Result<(), JournalError> {
        let (notice, account) = (prepared.email.notice, prepared.account.clone());
        let reached = NoticeReached { notice, account, recipient: recipient.to_owned(), at: Timestamp::now() };
        self.builder.journal.notices().append(&NoticeFact::Reached(reached), trace).await?;
        crash::point("after a recipient is recorded");
        Ok(())
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
