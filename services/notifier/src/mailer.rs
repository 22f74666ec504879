//! From what is called for to mails: look up, send, record, acknowledge, in this order.
//!
//! All notifiers share the work. A notice that the mail server does not take now comes again, less and less often, until
//! it is given up; that is recorded, too.

use std::time::Duration;

use domain::{
    AnonymisationFact, DeliveryFact, NoticeFact, NoticeId, RegistryFact,
    notice::{NoticeReached, Told},
    registry::Change,
};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::{SignedDuration, Timestamp};
use journal::{JournalError, Message};
use runtime::{Latch, crash, trace::TraceContext};
use tracing::{Instrument as _, info_span};

use crate::{
    letter::Sender,
    orders::{Order, Orders},
    post::{Post, PostError},
    telling::Telling,
};

/// How many notices are under way at once.
const MOST_UNDER_WAY: usize = 64;
/// When to try again at first, and at most, while the mail server is away.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

pub(crate) struct Mailer {
    pub(crate) orders: Orders,
    pub(crate) post: Post,
    pub(crate) sender: Sender,
    pub(crate) mail_latch: Latch,
    pub(crate) telling: Telling,
    /// For how long a mail is tried.
    pub(crate) patience: SignedDuration,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("the mail did not go out")]
    Post(#[from] PostError),
}

/// What is known about a notice before it is told.
struct Call {
    /// A mail about it cannot have gone out before.
    since: Timestamp,
    /// It may have been told before.
    again: bool,
    /// From now on the mail server's no is the last word.
    late: bool,
}

/// What became of a notice, as far as it has come.
#[derive(Default)]
struct Progress {
    reached: Vec<String>,
    untold: Vec<String>,
    /// What the mail server said about the first of those.
    reason: Option<String>,
    /// It may say something else later.
    later: Option<PostError>,
}

impl Mailer {
    pub(crate) async fn run(self) {
        let journal = &self.orders.journal;
        let (mut called_for, mut changes) = (journal.called_for_feed(), journal.destination_feed());
        let (mut attempts, mut events) = (journal.blanked_attempt_feed(), journal.blanked_event_feed());
        let keeps_mails = self.post.keeps_mails();
        let mut under_way = FuturesUnordered::new();
        loop {
            let room = under_way.len() < MOST_UNDER_WAY;
            tokio::select! {
                called = called_for.next(), if room => match called {
                    Some(called) => under_way.push(self.answer_call(called).boxed()),
                    None => break,
                },
                change = changes.next(), if room => match change {
                    Some(change) => under_way.push(self.answer_change(change).boxed()),
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
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn answer_call(&self, message: Message<NoticeFact>) {
        let NoticeFact::CalledFor(called) = &message.value else { return message.ack().await };
        let order = self.orders.of_call(called);
        Box::pin(self.handle(&message, called.notice, called.since, called.again, order)).await;
    }

    /// The notice that a change of a destination calls for: that a rule switched it off.
    async fn answer_change(&self, message: Message<RegistryFact>) {
        let Change::DestinationDeactivated(account, id, why) = &message.value.change else {
            return message.ack().await;
        };
        let notice = NoticeId::of_deactivation(id, message.sequence);
        let order = self.orders.of_deactivation(notice, account, id, why);
        Box::pin(self.handle(&message, notice, message.published_at, false, order)).await;
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
            return message.retry_later(AGAIN).await;
        }
        match self.post.forget(notice) {
            Ok(()) => message.ack().await,
            Err(error) => {
                tracing::warn!(%notice, error = error.with_causes(), "a mail is still in the outbox; trying again");
                message.retry_later(AGAIN_AT_MOST).await;
            }
        }
    }

    async fn handle<T>(
        &self,
        message: &Message<T>,
        notice: NoticeId,
        since: Timestamp,
        again: bool,
        order: impl Future<Output = Result<Option<Order>, JournalError>>,
    ) {
        let (span, trace) =
            TraceContext::enter(Some(&message.trace), || info_span!("notify", otel.kind = "consumer", %notice));
        let Some(_telling) = self.telling.begin(notice) else {
            // It is being told already, and whoever does that acknowledges for both.
            return;
        };
        let again = again || message.may_be_repeat.is_some();
        let late = Timestamp::now().duration_since(message.published_at) > self.patience;
        let telling = async {
            match order.await? {
                Some(order) => self.tell(&order, &Call { since, again, late }, &trace).await,
                None => Ok(()),
            }
        };
        match message.while_doing(telling).instrument(span).await {
            Ok(()) => message.ack().await,
            Err(trouble) => {
                let times = u32::try_from(message.delivered.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
                let pause = AGAIN.saturating_mul(1 << times).min(AGAIN_AT_MOST);
                let trouble = anyhow::Error::from(trouble);
                tracing::warn!(%notice, error = format!("{trouble:#}"), ?pause, "a notice waits; trying again");
                message.retry_later(pause).await;
            }
        }
    }

    async fn tell(&self, order: &Order, call: &Call, trace: &TraceContext) -> Result<(), Trouble> {
        let (account, letter, journal) = (&order.account, &order.letter, &self.orders.journal);
        if letter.recipients.is_empty() {
            let subject = letter.subject();
            tracing::info!(%account, subject, "nobody is told: there is no address, or nobody wants mails of this kind");
            return Ok(());
        }
        let told = if call.again { journal.told(account, letter.notice, call.since).await? } else { Told::default() };
        if told.done {
            return Ok(());
        }
        let progress = self.send(order, told, trace).await?;
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

    /// Each recipient gets a mail of his own: an address that is refused keeps it from nobody else.
    async fn send(&self, order: &Order, told: Told, trace: &TraceContext) -> Result<Progress, JournalError> {
        let (letter, mut progress) = (&order.letter, Progress::default());
        for recipient in &letter.recipients {
            let has_it = told.reached.contains(recipient) || self.telling.was_sent(letter.notice, recipient);
            let away = progress.later.as_ref().is_some_and(PostError::is_away);
            let sent = match () {
                () if has_it => Ok(()),
                // The next one would not be taken either.
                () if away => Err(None),
                () => self.post(order, recipient).await.map_err(Some),
            };
            match sent {
                Ok(()) => {
                    if !has_it && letter.recipients.len() > 1 {
                        self.record_reached(order, recipient, trace).await?;
                    }
                    progress.reached.push(recipient.clone());
                }
                Err(error) => {
                    progress.untold.push(recipient.clone());
                    if let Some(error) = error {
                        progress.reason.get_or_insert_with(|| error.with_causes());
                        progress.later = progress.later.or(Some(error).filter(|error| !error.is_final()));
                    }
                }
            }
        }
        Ok(progress)
    }

    async fn post(&self, order: &Order, recipient: &str) -> Result<(), PostError> {
        let mail = self.sender.mail(&order.letter, recipient)?;
        match self.post.send(&order.letter, recipient, mail).await {
            Ok(()) => self.mail_latch.ready(),
            Err(error) => {
                if !error.is_final() {
                    self.mail_latch.not_ready(error.public());
                }
                return Err(error);
            }
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
