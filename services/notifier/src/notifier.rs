//! From a failure to a notice: send, record, acknowledge, in this order.

use std::time::Duration;

use domain::{
    DeliveryFact, NoticeFact, Registry,
    delivery::{DeliveryRef, Verdict},
    notice::{ErrorNoticeSent, called_for_by},
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use journal::{Journal, JournalError, Message, RegistryView};
use runtime::{Latch, crash, trace::TraceContext};
use tracing::{Instrument as _, info_span};

use crate::{
    letter::{Letter, Sender},
    post::{Post, PostError},
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
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("the mail did not go out")]
    Post(#[from] PostError),
}

impl Notifier {
    pub(crate) async fn run(self) {
        let mut facts = self.journal.notifier_feed();
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                fact = facts.next(), if under_way.len() < MOST_UNDER_WAY => match fact {
                    Some(fact) => under_way.push(self.handle(fact)),
                    None => break,
                },
                Some(()) = under_way.next() => {}
            }
        }
        while under_way.next().await.is_some() {}
    }

    async fn handle(&self, message: Message<DeliveryFact>) {
        if called_for_by(&message.value).is_none() {
            return message.ack().await;
        }
        let (span, trace) = TraceContext::enter(
            Some(&message.trace),
            || info_span!("notify", otel.kind = "consumer", delivery = %message.value.reference().delivery),
        );
        match self.tell(&message, &trace).instrument(span).await {
            Ok(()) => message.ack().await,
            Err(trouble) => self.try_again(&message, trouble).await,
        }
    }

    async fn try_again(&self, message: &Message<DeliveryFact>, trouble: Trouble) {
        let times = u32::try_from(message.delivered.saturating_sub(1)).unwrap_or(u32::MAX).min(10);
        let pause = AGAIN.saturating_mul(1 << times).min(AGAIN_AT_MOST);
        let delivery = message.value.reference().delivery;
        let trouble = anyhow::Error::from(trouble);
        tracing::warn!(%delivery, error = format!("{trouble:#}"), ?pause, "a notice waits; trying again");
        message.retry_later(pause).await;
    }

    async fn tell(&self, message: &Message<DeliveryFact>, trace: &TraceContext) -> Result<(), Trouble> {
        let Some((notice, reference)) = called_for_by(&message.value) else { return Ok(()) };
        let registry = self.registry.snapshot();
        let Some(account) = registry.account(&reference.account).map(|entry| &entry.account) else { return Ok(()) };
        if account.notification_emails.is_empty() {
            tracing::info!(account = %reference.account, "a failure is not reported: the account has no addresses");
            return Ok(());
        }
        let came_again = message.delivered > 1;
        if came_again && self.journal.was_told(&reference.account, notice, message.published_at).await? {
            return Ok(());
        }
        let letter = Letter::about_failure(&self.sender, account, notice, &failure(&message.value, &registry));
        match self.post.send(&letter).await {
            Ok(()) => self.mail_latch.ready(),
            Err(PostError::Refused(reason)) => {
                // Trying again would be refused again; the failure itself stays visible in the read model.
                tracing::error!(delivery = %reference.delivery, reason, "a notice is refused for good by the mail server");
                return Ok(());
            }
            Err(error) => {
                self.mail_latch.not_ready(error.to_string());
                return Err(error.into());
            }
        }
        crash::point("after a mail is sent");
        let sent = NoticeFact::ErrorNoticeSent(ErrorNoticeSent {
            notice,
            account: reference.account.clone(),
            interface: reference.interface.clone(),
            lead: reference.lead.clone(),
            delivery: reference.delivery,
            destination: reference.destination.clone(),
            recipients: letter.recipients,
            subject: letter.subject,
            at: Timestamp::now(),
        });
        self.journal.append_notice(&sent, trace).await?;
        crash::point("after a notice is stored");
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
