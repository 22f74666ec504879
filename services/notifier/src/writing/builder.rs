//! Prepared notices: the mail for a notice that was called for, and the facts about its outcome.

use std::sync::Arc;

use domain::{
    AccountId, DeliveryFact, DestinationId, LeadId, LeadSequence, NoticeFact, NoticeId, Registry,
    delivery::{DeliveryRef, SpanRef},
    notice::{
        About, DeactivationNoticeSent, ErrorNoticeSent, NoticeCalledFor, NoticeGivenUp, NoticeKind, NoticeSent, Window,
    },
    registry::{AccountEntry, Deactivation, check_brand},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};

use crate::{
    links::{confirming::Asking, target::Target},
    writing::{body::Content, email::Email, subjects, templates},
};

/// A notice that is to be sent.
#[derive(Debug)]
pub(crate) struct PreparedNotice {
    pub(crate) account: AccountId,
    pub(crate) email: Email,
    /// The spans of the failures that the notice reports: those of the only failure, of the first failures of a window,
    /// or of the last failure of a streak.
    pub(crate) failures: Vec<SpanRef>,
    subject: Subject,
}

/// What a notice is about, for the facts about its mails.
#[derive(Debug)]
enum Subject {
    Failure(Arc<DeliveryRef>),
    Deactivation(DestinationId),
    Other(Option<DestinationId>, Option<LeadId>),
}

#[derive(Debug, Clone)]
pub(crate) struct NoticeBuilder {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    /// The brand of accounts that do not set one.
    pub(crate) brand: String,
}

impl NoticeBuilder {
    /// The mail for a notice that was called for; `None` if its account, destination, interface or fact no longer
    /// exists.
    pub(crate) async fn of_call(&self, called: &NoticeCalledFor) -> Result<Option<PreparedNotice>, JournalError> {
        let registry = self.registry.snapshot();
        let Some(entry) = registry.account(&called.account) else { return Ok(None) };
        let account = &entry.account;
        let known = called.about.destination().and_then(|id| registry.destination_ever(id));
        let mut subject = Subject::Other(called.about.destination().cloned(), None);
        let mut spans = vec![];
        let mut target = called.about.destination().map(|id| Target::Destination(id.clone(), None));
        let (page, about, emails) = match (&called.about, known) {
            (About::Failure { sequence, .. }, _) => {
                let Some(fact) = self.journal.deliveries().get(*sequence).await? else { return Ok(None) };
                spans = span_of(&fact).into_iter().collect();
                let reference = fact.reference();
                let name = known.map_or(reference.destination.as_str(), |found| subjects::name(found));
                subject = Subject::Failure(Arc::clone(reference));
                target = Some(Target::Destination(reference.destination.clone(), Some(reference.delivery)));
                let about = subjects::failure(name, Some(&fact));
                (templates::failure(&fact, &registry), about, account.notification_emails.clone())
            }
            (About::FurtherFailures { window, .. }, Some(destination)) => {
                let examples = self.examples(window).await?;
                spans = examples.iter().filter_map(span_of).collect();
                let page = templates::further_failures(destination, window, &examples);
                (page, subjects::further_failures(destination, window), account.notification_emails.clone())
            }
            (About::RepeatedFailures { failures, failing_since, sequence, .. }, Some(destination)) => {
                let last = self.journal.deliveries().get(*sequence).await?;
                spans = last.iter().filter_map(span_of).collect();
                let page = templates::repeated_failures(destination, *failures, *failing_since, last.as_ref());
                let about = subjects::failure(subjects::name(destination), last.as_ref());
                (page, about, account.notification_emails.clone())
            }
            (About::Recovery { at, failing_since, was_alerted, was_deactivated, .. }, Some(destination)) => {
                let page = templates::recovery(destination, *at, *failing_since);
                let emails = entry.recovery_recipients(*was_alerted, *was_deactivated);
                (page, subjects::recovery(destination), emails)
            }
            (About::Lead { interface, sequence, lead }, _) => {
                let Some(interface) = registry.interface(&called.account, interface) else { return Ok(None) };
                let Some(event) = self.journal.leads().get(LeadSequence(*sequence)).await? else { return Ok(None) };
                subject = Subject::Other(None, Some(lead.clone()));
                target = Some(Target::Lead(interface.id.clone(), Some(lead.clone())));
                let emails = interface.lead_notification_emails.clone();
                (templates::new_lead(&event, interface), subjects::leads(interface, None), emails)
            }
            (About::FurtherLeads { interface, window }, _) => {
                let Some(interface) = registry.interface(&called.account, interface) else { return Ok(None) };
                target = Some(Target::Lead(interface.id.clone(), None));
                let about = subjects::leads(interface, Some(window.count));
                (templates::further_leads(interface, window), about, interface.lead_notification_emails.clone())
            }
            (_, None) => return Ok(None),
        };
        let mut prepared = self.prepared(entry, called.notice, called.about.kind(), &emails, page, subject);
        prepared.email.is_digest = matches!(called.about, About::FurtherLeads { .. });
        (prepared.email.about, prepared.email.target, prepared.failures) = (about, target, spans);
        Ok(Some(prepared))
    }

    /// The mail that asks the owner of an address for consent; `None` if the address is confirmed already, or if its
    /// owner opted out of such mails. It has the brand of the installation, because a stranger may have chosen the
    /// brand of the account.
    pub(crate) fn of_confirmation(
        &self,
        registry: &Registry,
        notice: NoticeId,
        account: &AccountId,
        email: &str,
        asking: &Asking,
    ) -> Option<PreparedNotice> {
        let entry = registry.account(account)?;
        let kind = NoticeKind::Confirmation;
        if entry.is_confirmed(email) || !entry.wants(email, kind) {
            return None;
        }
        let code = asking.codes.write(account.as_str(), email);
        let page = templates::confirmation(account, asking.url(&code), &code);
        let (brand, recipients) = (self.brand.clone(), vec![email.to_owned()]);
        let email = email_without_link(account, notice, kind, recipients, brand, page);
        Some(PreparedNotice { account: account.clone(), email, failures: vec![], subject: Subject::Other(None, None) })
    }

    /// The mail for the notice about a destination that a rule deactivated.
    pub(crate) async fn of_deactivation(
        &self,
        notice: NoticeId,
        account: &AccountId,
        id: &DestinationId,
        why: &Deactivation,
    ) -> Result<Option<PreparedNotice>, JournalError> {
        let registry = self.registry.snapshot();
        let (Some(entry), Some(destination)) = (registry.account(account), registry.destination_ever(id)) else {
            return Ok(None);
        };
        let held = self.journal.pending_work().count(id).await?;
        let (emails, page) = (entry.deactivation_recipients(), templates::deactivation(destination, why, held));
        let subject = Subject::Deactivation(id.clone());
        let mut prepared = self.prepared(entry, notice, NoticeKind::Deactivation, &emails, page, subject);
        prepared.email.about = subjects::deactivation(destination, why);
        prepared.email.target = Some(Target::Destination(id.clone(), None));
        Ok(Some(prepared))
    }

    fn prepared(
        &self,
        entry: &AccountEntry,
        notice: NoticeId,
        kind: NoticeKind,
        emails: &[String],
        page: Content,
        subject: Subject,
    ) -> PreparedNotice {
        let (account, recipients) = (entry.account.id.clone(), entry.willing(emails, kind));
        // A brand that was set before brands were checked may contain a link.
        let brand = entry.account.brand.clone().filter(|brand| check_brand(brand).is_ok());
        let brand = brand.unwrap_or_else(|| self.brand.clone());
        let email = email_without_link(&account, notice, kind, recipients, brand, page);
        PreparedNotice { account, email, failures: vec![], subject }
    }

    async fn examples(&self, window: &Window) -> Result<Vec<DeliveryFact>, JournalError> {
        let mut examples = vec![];
        for sequence in &window.examples {
            examples.extend(self.journal.deliveries().get(*sequence).await?);
        }
        Ok(examples)
    }
}

fn span_of(fact: &DeliveryFact) -> Option<SpanRef> {
    match fact {
        DeliveryFact::Attempted(f) => f.trace,
        _ => None,
    }
}

/// A mail without a details link, with only the fixed words in its subject.
fn email_without_link(
    account: &AccountId,
    notice: NoticeId,
    kind: NoticeKind,
    recipients: Vec<String>,
    brand: String,
    page: Content,
) -> Email {
    let (account, is_digest, about, target) = (account.clone(), false, String::new(), None);
    Email { account, notice, kind, recipients, brand, is_digest, about, target, page }
}

impl PreparedNotice {
    /// The fact that these recipients got the notice. The log of a lead shows the notices about its failures.
    pub(crate) fn sent_to(&self, recipients: Vec<String>, at: Timestamp) -> NoticeFact {
        let (notice, account, subject) = (self.email.notice, self.account.clone(), self.email.subject());
        match &self.subject {
            Subject::Failure(reference) => NoticeFact::ErrorNoticeSent(ErrorNoticeSent {
                notice,
                account,
                interface: reference.interface.clone(),
                lead: reference.lead.clone(),
                delivery: reference.delivery,
                destination: reference.destination.clone(),
                recipients,
                subject,
                at,
            }),
            Subject::Deactivation(destination) => {
                let destination = destination.clone();
                let sent = DeactivationNoticeSent { notice, account, destination, recipients, subject, at };
                NoticeFact::DeactivationNoticeSent(sent)
            }
            Subject::Other(destination, lead) => {
                let (kind, destination, lead) = (self.email.kind, destination.clone(), lead.clone());
                NoticeFact::Sent(NoticeSent { notice, account, kind, destination, lead, recipients, subject, at })
            }
        }
    }

    /// The fact that these recipients do not get the notice, with the reply of the mail server as the reason.
    pub(crate) fn given_up(&self, recipients: Vec<String>, reason: String, at: Timestamp) -> NoticeFact {
        let (destination, lead, delivery) = match &self.subject {
            Subject::Failure(r) => (Some(r.destination.clone()), Some(r.lead.clone()), Some(r.delivery)),
            Subject::Deactivation(destination) => (Some(destination.clone()), None, None),
            Subject::Other(destination, lead) => (destination.clone(), lead.clone(), None),
        };
        let (notice, account, kind) = (self.email.notice, self.account.clone(), self.email.kind);
        NoticeFact::GivenUp(NoticeGivenUp {
            notice,
            account,
            kind,
            destination,
            lead,
            delivery,
            recipients,
            reason,
            at,
        })
    }
}
