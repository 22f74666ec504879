//! Sends the mails of a notice, one to each recipient, and appends the facts about them.

use domain::{
    NoticeFact,
    notice::{NoticeProgress, NoticeReached},
};
use jiff::Timestamp;
use journal::{Journal, JournalError};
use runtime::{crash, trace::TraceContext};
use tokio::time::Instant;

use crate::{
    measured,
    sending::{
        dedup::Dedup,
        history::History,
        quota::Quota,
        results::Results,
        transport::{Transport, TransportError},
    },
    writing::{builder::PreparedNotice, email::Sender},
};

pub(crate) struct Mails {
    pub(crate) journal: Journal,
    pub(crate) transport: Transport,
    pub(crate) sender: Sender,
    pub(crate) dedup: Dedup,
    pub(crate) history: History,
    pub(crate) quota: Quota,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error("the broker failed")]
    Journal(#[from] JournalError),
    #[error("cannot send mail")]
    Transport(#[from] TransportError),
    #[error("the registry view does not contain the change at sequence {0} yet")]
    Registry(u64),
}

/// The state of a notice before it is sent.
pub(crate) struct Call {
    /// No mail about it went out before this time.
    pub(crate) since: Timestamp,
    /// Whether it may have been sent before.
    pub(crate) again: bool,
    /// A read of NOTICES that began before this instant may miss mails of the notice; `None` if a recent read is
    /// enough.
    pub(crate) as_of: Option<Instant>,
    /// Whether the time for retries is over, so that the next refusal is final.
    pub(crate) late: bool,
}

impl Mails {
    pub(crate) async fn notify(
        &self,
        prepared: &PreparedNotice,
        call: &Call,
        trace: &TraceContext,
    ) -> Result<(), NotifyError> {
        let (account, email, journal) = (&prepared.account, &prepared.email, &self.journal);
        if email.recipients.is_empty() {
            let subject = email.subject();
            tracing::info!(
                %account,
                subject,
                "skipped notice: it has no recipients, or all are unconfirmed or have opted out"
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
            let (subject, recipients) = (email.subject(), &results.unreached);
            tracing::error!(%account, subject, ?recipients, reason, "gave up notice");
            let mails = results.unreached.len();
            journal.notices().append(&prepared.given_up(results.unreached, reason, now), trace).await?;
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
        self.journal.notices().append(&NoticeFact::Reached(reached), trace).await?;
        crash::point("after a recipient is recorded");
        Ok(())
    }
}
