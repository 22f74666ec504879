//! From a failure to a notice: send, record, acknowledge, in this order.

use std::time::Duration;

use domain::{
    AccountId, DeliveryFact, NoticeFact, NoticeId, Registry, RegistryFact,
    delivery::{DeliveryAttempted, DeliveryRef, Verdict},
    notice::{DeactivationNoticeSent, ErrorNoticeSent, called_for_by},
    registry::Change,
};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use journal::{Journal, JournalError, Message, RegistryView};
use runtime::{Latch, crash, trace::TraceContext};
use tracing::{Instrument as _, info_span};

use crate::{
    letter::{Letter, Sender},
    post::{Post, PostError},
    telling::Telling,
};

/// How many notices are under way at once.
const MOST_UNDER_WAY: usize = 64;
/// When to try again at first, and at most, while the mail server is away.
const AGAIN: Duration = Duration::from_secs(2);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

pub(crate) struct Notifier {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    pub(crate) post: Post,
    pub(crate) sender: Sender,
    pub(crate) mail_latch: Latch,
    pub(crate) telling: Telling,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("the mail did not go out")]
    Post(#[from] PostError),
}

/// A notice that is called for: what it says, and how to record that it was sent.
struct Called {
    account: AccountId,
    letter: Letter,
    record: Box<dyn FnOnce(&Letter) -> NoticeFact + Send>,
}

impl Notifier {
    pub(crate) async fn run(self) {
        let (mut facts, mut changes) = (self.journal.notifier_feed(), self.journal.destination_feed());
        let mut under_way = FuturesUnordered::new();
        loop {
            let room = under_way.len() < MOST_UNDER_WAY;
            tokio::select! {
                fact = facts.next(), if room => match fact {
                    Some(fact) => under_way.push(self.hear(fact).boxed()),
                    None => break,
                },
                change = changes.next(), if room => match change {
                    Some(change) => under_way.push(self.handle(change, Self::deactivation).boxed()),
                    None => break,
                },
                Some(()) = under_way.next() => {}
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn hear(&self, message: Message<DeliveryFact>) {
        match &message.value {
            DeliveryFact::AttemptBlanked(f) => self.forget(&message, f).await,
            _ => self.handle(message, Self::failure).await,
        }
    }

    /// The lead was anonymised: a mail that still lies in the outbox says too much about the attempt. One that a mail
    /// server has taken cannot be fetched back.
    async fn forget(&self, message: &Message<DeliveryFact>, blank: &DeliveryAttempted) {
        let notice = NoticeId::of_failure(blank.reference.delivery, blank.round);
        let telling = self.telling.begin(notice);
        if telling.is_none() {
            return message.retry_later(AGAIN).await;
        }
        match self.post.forget(notice) {
            Ok(()) => message.ack().await,
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!(%notice, error = format!("{error:#}"), "a mail is still in the outbox; trying again");
                message.retry_later(AGAIN_AT_MOST).await;
            }
        }
    }

    async fn handle<T: Sync + Send>(&self, message: Message<T>, called: fn(&Self, &Message<T>) -> Option<Called>) {
        let Some(called) = called(self, &message) else { return message.ack().await };
        let notice = called.letter.notice;
        let (span, trace) =
            TraceContext::enter(Some(&message.trace), || info_span!("notify", otel.kind = "consumer", %notice));
        let Some(_telling) = self.telling.begin(notice) else {
            // It is being told already, and whoever does that acknowledges for both.
            return;
        };
        match message.while_doing(self.tell(&message, called, &trace)).instrument(span).await {
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

    /// The notice that a fact about a delivery calls for.
    fn failure(&self, message: &Message<DeliveryFact>) -> Option<Called> {
        let (notice, reference) = called_for_by(&message.value)?;
        let registry = self.registry.snapshot();
        let account = &registry.account(&reference.account)?.account;
        let letter = Letter::about_failure(&self.sender, account, notice, &failure(&message.value, &registry));
        let reference = reference.clone();
        let record = move |letter: &Letter| {
            NoticeFact::ErrorNoticeSent(ErrorNoticeSent {
                notice,
                account: reference.account,
                interface: reference.interface,
                lead: reference.lead,
                delivery: reference.delivery,
                destination: reference.destination,
                recipients: letter.recipients.clone(),
                subject: letter.subject.clone(),
                at: Timestamp::now(),
            })
        };
        Some(Called { account: account.id.clone(), letter, record: Box::new(record) })
    }

    /// The notice that a change of a destination calls for: that a rule switched it off.
    fn deactivation(&self, message: &Message<RegistryFact>) -> Option<Called> {
        let Change::DestinationDeactivated(account, id, why) = &message.value.change else { return None };
        let registry = self.registry.snapshot();
        let entry = registry.account(account)?;
        let destination = registry.destination_ever(id)?;
        let notice = NoticeId::of_deactivation(id, message.sequence);
        let letter = Letter::about_deactivation(&self.sender, entry, notice, destination, why);
        let (account_id, id) = (account.clone(), id.clone());
        let record = {
            let account = account_id.clone();
            move |letter: &Letter| {
                NoticeFact::DeactivationNoticeSent(DeactivationNoticeSent {
                    notice,
                    account,
                    destination: id,
                    recipients: letter.recipients.clone(),
                    subject: letter.subject.clone(),
                    at: Timestamp::now(),
                })
            }
        };
        Some(Called { account: account_id, letter, record: Box::new(record) })
    }

    async fn tell<T>(&self, message: &Message<T>, called: Called, trace: &TraceContext) -> Result<(), Trouble> {
        let Called { account, letter, record } = called;
        if letter.recipients.is_empty() {
            tracing::info!(%account, subject = letter.subject, "nobody is told: the account has no addresses");
            return Ok(());
        }
        let may_be_repeat = message.may_be_repeat.is_some();
        if may_be_repeat && self.journal.was_told(&account, letter.notice, message.published_at).await? {
            return Ok(());
        }
        for recipient in &letter.recipients {
            self.send(&account, &letter, recipient).await?;
        }
        crash::point("after a mail is sent");
        self.journal.append_notice(&record(&letter), trace).await?;
        crash::point("after a notice is stored");
        Ok(())
    }
}

impl Notifier {
    /// Each recipient gets a mail of his own: an address that is refused keeps it from nobody else.
    async fn send(&self, account: &AccountId, letter: &Letter, recipient: &str) -> Result<(), PostError> {
        if self.telling.was_sent(letter.notice, recipient) {
            return Ok(());
        }
        match self.post.send(letter, recipient).await {
            Ok(()) => self.mail_latch.ready(),
            Err(PostError::Refused(reason)) => {
                // Trying again would be refused again; what the notice is about stays visible without it.
                let subject = &letter.subject;
                tracing::error!(%account, subject, recipient, reason, "the mail server refuses a notice for good");
            }
            Err(error) => {
                self.mail_latch.not_ready(error.to_string());
                return Err(error);
            }
        }
        self.telling.remember(letter.notice, recipient);
        Ok(())
    }
}

/// What a notice is about.
#[derive(Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) reference: &'a DeliveryRef,
    pub(crate) destination_name: String,
    pub(crate) url: String,
    pub(crate) attempts: u32,
    pub(crate) at: Timestamp,
    pub(crate) reason: &'static str,
    pub(crate) outcome: Option<&'a domain::AttemptOutcome>,
}

fn failure<'a>(fact: &'a DeliveryFact, registry: &Registry) -> Failure<'a> {
    let reference = fact.reference();
    let destination = registry.destination_ever(&reference.destination);
    let (attempts, reason, outcome, url) = match fact {
        DeliveryFact::Attempted(f) => {
            let reason = if let Verdict::Failed(reason) = f.verdict { reason.as_str() } else { "" };
            (f.attempt, reason, Some(&f.outcome), f.request.url.clone())
        }
        DeliveryFact::Abandoned(f) => {
            (f.attempts, f.reason.as_str(), None, destination.map(|d| d.url.clone()).unwrap_or_default())
        }
        _ => (0, "", None, String::new()),
    };
    let destination_name = destination.map(|d| d.name.clone()).unwrap_or_default();
    Failure { reference, destination_name, url, attempts, at: fact.at(), reason, outcome }
}
