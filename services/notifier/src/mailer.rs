//! From what is called for to mails: look up, send, record, acknowledge, in this order.
//!
//! All notifiers share the work. Notices about leads have a queue of their own, so that a failure notice stands behind none
//! of them. A notice that the mail server does not take now comes again when the pause of server or recipient is over
//! (`crate::pauses`), until it is given up; that is recorded, too.

use std::time::Duration;

use domain::{
    AnonymisationFact, DeliveryFact, NoticeFact, NoticeId, RegistryFact,
    notice::{NoticeReached, Told},
    registry::Change,
};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use journal::{JournalError, Message};
use runtime::{crash, trace::TraceContext};
use tokio::time::Instant;
use tracing::{Instrument as _, info_span};

use crate::{
    confirming::{self, Asking},
    history::History,
    letter::Sender,
    orders::{Order, Orders},
    post::{Post, PostError},
    quota::Quota,
    telling::Telling,
};

/// How many notices of a queue are under way at once. Each that waits for a connection is kept from being handed out again.
const MAX_IN_FLIGHT: usize = 32;
/// How long to wait until this process knows a change that was handed out to it.
const REGISTRY_DEADLINE: Duration = Duration::from_secs(3);
/// When to try again at first, and at most, while the broker does not answer.
const RETRY_DELAY: Duration = Duration::from_secs(2);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(60);

pub(crate) struct Mailer {
    pub(crate) orders: Orders,
    pub(crate) post: Post,
    pub(crate) sender: Sender,
    pub(crate) telling: Telling,
    pub(crate) history: History,
    pub(crate) quota: Quota,
    /// For how long a mail is tried.
    pub(crate) patience: SignedDuration,
    /// `None` without a master key: nothing could vouch for the codes.
    pub(crate) asking: Option<Asking>,
    /// One owner is asked at a time, so that each question is counted before the next.
    pub(crate) one_question: tokio::sync::Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("the mail did not go out")]
    Post(#[from] PostError),
    #[error("this process does not know the change of the configuration at {0} yet")]
    Registry(u64),
}

/// What is known about a notice before it is told.
struct Call {
    /// A mail about it cannot have gone out before.
    since: Timestamp,
    /// It may have been told before.
    again: bool,
    /// What was recorded until then tells that; `None` if it was long ago.
    as_of: Option<Instant>,
    /// From now on the mail server's no is the last word.
    late: bool,
}

/// What became of a notice, as far as it has come.
#[derive(Default)]
struct Progress {
    reached: Vec<String>,
    untold: Vec<String>,
    /// Why the first of those was not told.
    reason: Option<String>,
    /// It may be told later: the refusal that ends first.
    later: Option<PostError>,
}

impl Mailer {
    pub(crate) async fn run(self) {
        let journal = &self.orders.journal;
        let (mut called_for, mut leads) = (journal.called_for_feed(), journal.called_for_leads_feed());
        let (mut changes, mut settings) = (journal.destination_feed(), journal.registry_feed());
        let (mut attempts, mut events) = (journal.blanked_attempt_feed(), journal.blanked_event_feed());
        let (keeps_mails, asks) = (self.post.keeps_mails(), self.asking.is_some());
        let (mut under_way, mut leads_under_way) = (FuturesUnordered::new(), FuturesUnordered::new());
        loop {
            let (room, room_for_leads) = (under_way.len() < MAX_IN_FLIGHT, leads_under_way.len() < MAX_IN_FLIGHT);
            tokio::select! {
                called = called_for.next(), if room => match called {
                    Some(called) => under_way.push(self.answer_call(called).boxed()),
                    None => break,
                },
                called = leads.next(), if room_for_leads => match called {
                    Some(called) => leads_under_way.push(self.answer_call(called).boxed()),
                    None => break,
                },
                change = changes.next(), if room => match change {
                    Some(change) => under_way.push(self.answer_change(change).boxed()),
                    None => break,
                },
                change = settings.next(), if room_for_leads && asks => match change {
                    Some(change) => leads_under_way.push(self.ask_owners(change).boxed()),
                    None => break,
                },
                fact = attempts.next(), if room && keeps_mails => match fact {
                    Some(fact) => under_way.push(self.forget_attempt(fact).boxed()),
                    None => break,
                },
                fact = events.next(), if room && keeps_mails => match fact {
                    Some(fact) => under_way.push(self.forget_event(fact).boxed()),
                    None => break,
                },
                Some(()) = under_way.next() => {}
                Some(()) = leads_under_way.next() => {}
            }
        }
        while under_way.next().await.is_some() {}
        while leads_under_way.next().await.is_some() {}
    }

    async fn answer_call(&self, message: Message<NoticeFact>) {
        let NoticeFact::CalledFor(called) = &message.value else { return message.ack().await };
        let order = self.orders.of_call(called);
        let precedence = called.about.kind().has_precedence();
        Box::pin(self.handle(&message, called.notice, (called.since, called.again), precedence, order)).await;
    }

    /// The notice that a change of a destination calls for: that a rule switched it off.
    async fn answer_change(&self, message: Message<RegistryFact>) {
        let Change::DestinationDeactivated(account, id, why) = &message.value.change else {
            return message.ack().await;
        };
        let notice = NoticeId::of_deactivation(id, message.sequence);
        let order = self.orders.of_deactivation(notice, account, id, why);
        Box::pin(self.handle(&message, notice, (message.published_at, false), true, order)).await;
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
        match message.while_doing(doing).await {
            Ok(()) => message.ack().await,
            Err(trouble) => self.try_again(&message, "a question to the owner of an address waits", trouble).await,
        }
    }

    async fn ask_owner(&self, message: &Message<RegistryFact>, email: &str, asking: &Asking) -> Result<(), Trouble> {
        let (Some(account), _, _) = message.value.change.entity() else { return Ok(()) };
        let notice = NoticeId::of_confirmation(account, message.sequence, email);
        // The change may come here before this process knows it.
        let known = self.orders.registry.at_least(message.sequence, REGISTRY_DEADLINE).await;
        let registry = known.ok_or(Trouble::Registry(message.sequence))?;
        let order = self.orders.of_confirmation(&registry, notice, account, email, asking);
        let Some(order) = order else { return Ok(()) };
        let sent = self.orders.journal.confirmations(confirming::counted_since(Timestamp::now())).await?;
        if let Err(reason) = confirming::may_ask(&sent, account, email) {
            tracing::info!(%account, reason, "the owner of an address is not asked again");
            return Ok(());
        }
        let call = Call { since: message.published_at, again: false, as_of: None, late: self.is_late(message) };
        Box::pin(self.tell(&order, &call, &message.trace)).await
    }

    /// The lead was anonymised: a mail that still lies in the outbox says too much about the attempt. One that a mail
    /// server has taken cannot be fetched back.
    async fn forget_attempt(&self, message: Message<DeliveryFact>) {
        match &message.value {
            DeliveryFact::AttemptBlanked(f) => {
                self.forget(&message, NoticeId::of_failure(f.reference.delivery, f.round)).await;
            }
            _ => message.ack().await,
        }
    }

    /// So does one about the lead itself.
    async fn forget_event(&self, message: Message<AnonymisationFact>) {
        match &message.value {
            AnonymisationFact::EventBlanked(f) => {
                self.forget(&message, NoticeId::of_lead(&f.event.account, &f.event.event_id)).await;
            }
            AnonymisationFact::LeadAnonymised(_) => message.ack().await,
        }
    }

    async fn forget<T>(&self, message: &Message<T>, notice: NoticeId) {
        let telling = self.telling.begin(notice);
        if telling.is_none() {
            return message.retry_later(RETRY_DELAY).await;
        }
        match self.post.forget(notice) {
            Ok(()) => message.ack().await,
            Err(error) => {
                tracing::warn!(%notice, error = error.with_causes(), "a mail is still in the outbox; trying again");
                message.retry_later(MAX_RETRY_DELAY).await;
            }
        }
    }

    async fn handle<T>(
        &self,
        message: &Message<T>,
        notice: NoticeId,
        (since, again): (Timestamp, bool),
        precedence: bool,
        order: impl Future<Output = Result<Option<Order>, JournalError>>,
    ) {
        let (span, trace) =
            TraceContext::enter(Some(&message.trace), || info_span!("notify", otel.kind = "consumer", %notice));
        let late = self.is_late(message);
        if let (Some(wait), false) = (self.post.wait(precedence), late) {
            return message.retry_later(wait.after).await;
        }
        let Some(_telling) = self.telling.begin(notice) else {
            // It is being told already, and whoever does that acknowledges for both.
            return;
        };
        let as_of = message.may_be_repeat;
        let again = again || as_of.is_some();
        let telling = async {
            match order.await? {
                Some(order) => self.tell(&order, &Call { since, again, as_of, late }, &trace).await,
                None => Ok(()),
            }
        };
        match message.while_doing(telling).instrument(span).await {
            Ok(()) => message.ack().await,
            Err(trouble) => self.try_again(message, "a notice waits", trouble).await,
        }
    }

    fn is_late<T>(&self, message: &Message<T>) -> bool {
        Timestamp::now().duration_since(message.published_at) > self.patience
    }

    /// What was not tried says nothing new, and is not logged each time.
    async fn try_again<T>(&self, message: &Message<T>, what: &str, trouble: Trouble) {
        let times = u32::try_from(message.delivered.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
        let (pause, is_new) = match &trouble {
            Trouble::Post(error) => (error.again_after().unwrap_or(RETRY_DELAY), error.was_tried()),
            Trouble::Journal(_) | Trouble::Registry(_) => {
                (RETRY_DELAY.saturating_mul(1 << times).min(MAX_RETRY_DELAY), true)
            }
        };
        let trouble = anyhow::Error::from(trouble);
        if is_new {
            tracing::warn!(error = format!("{trouble:#}"), ?pause, "{what}; trying again");
        }
        message.retry_later(pause).await;
    }

    async fn tell(&self, order: &Order, call: &Call, trace: &TraceContext) -> Result<(), Trouble> {
        let (account, letter, journal) = (&order.account, &order.letter, &self.orders.journal);
        if letter.recipients.is_empty() {
            let subject = letter.subject();
            tracing::info!(
                %account,
                subject,
                "no one is told: there is no address that is confirmed and wants mails of this kind"
            );
            return Ok(());
        }
        let told = match call.again {
            true => self.history.told(account, letter.notice, call.since, call.as_of).await?,
            false => Told::default(),
        };
        if told.done {
            return Ok(());
        }
        let progress = self.send(order, told, call.late, trace).await?;
        if let Some(error) = progress.later
            && !call.late
        {
            return Err(error.into());
        }
        let now = Timestamp::now();
        if let Some(reason) = progress.reason {
            // What the notice is about stays visible without it.
            let (subject, recipients) = (letter.subject(), &progress.untold);
            tracing::error!(%account, subject, ?recipients, reason, "a notice is given up");
            journal.append_notice(&order.given_up(progress.untold, reason, now), trace).await?;
        }
        if !progress.reached.is_empty() {
            journal.append_notice(&order.sent_to(progress.reached, now), trace).await?;
        }
        crash::point("after a notice is stored");
        Ok(())
    }

    /// Each recipient gets a mail of its own: an address that is refused keeps it from no other one.
    async fn send(
        &self,
        order: &Order,
        told: Told,
        late: bool,
        trace: &TraceContext,
    ) -> Result<Progress, JournalError> {
        let (letter, mut progress) = (&order.letter, Progress::default());
        for recipient in &letter.recipients {
            let has_it = told.reached.contains(recipient) || self.telling.was_sent(letter.notice, recipient);
            let sent = if has_it { Ok(()) } else { self.post(order, recipient).await };
            match sent {
                Ok(()) => {
                    if !has_it && letter.recipients.len() > 1 {
                        self.record_reached(order, recipient, trace).await?;
                    }
                    progress.reached.push(recipient.clone());
                }
                Err(error) => {
                    if let PostError::Refused(why) = &error {
                        self.telling.remember_refused(letter.notice, recipient, why.clone());
                    }
                    progress.add(recipient, error, late);
                }
            }
        }
        Ok(progress)
    }

    async fn post(&self, order: &Order, recipient: &str) -> Result<(), PostError> {
        let (account, precedence) = (&order.account, order.letter.kind.has_precedence());
        if let Some(why) = self.telling.was_refused(order.letter.notice, recipient) {
            return Err(PostError::Refused(why));
        }
        let left_out = self.quota.take(account, recipient, precedence, Instant::now()).map_err(PostError::Refused)?;
        let mail = self.sender.mail(&order.letter, recipient, left_out);
        let sent = match mail {
            Ok(mail) => self.post.send(&mail, precedence).await,
            Err(refused) => Err(refused),
        };
        if let Err(error) = sent {
            self.quota.give_back(account, recipient, left_out);
            return Err(error);
        }
        self.telling.remember(order.letter.notice, recipient);
        crash::point("after a mail is sent");
        Ok(())
    }

    async fn record_reached(&self, order: &Order, recipient: &str, trace: &TraceContext) -> Result<(), JournalError> {
        let (notice, account) = (order.letter.notice, order.account.clone());
        let reached = NoticeReached { notice, account, recipient: recipient.to_owned(), at: Timestamp::now() };
        self.orders.journal.append_notice(&NoticeFact::Reached(reached), trace).await?;
        crash::point("after a recipient is recorded");
        Ok(())
    }
}

impl Progress {
    fn add(&mut self, recipient: &str, error: PostError, late: bool) {
        self.untold.push(recipient.to_owned());
        let is_final = error.again_after().is_none();
        // A reason that is final says why a mail was given up; another one only if there is no more time.
        if is_final || late {
            self.reason.get_or_insert_with(|| error.with_causes());
        }
        let sooner = match (&self.later, error.again_after()) {
            (Some(later), Some(after)) => later.again_after().is_none_or(|other| after < other) && error.was_tried(),
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if sooner {
            self.later = Some(error);
        }
    }
}
