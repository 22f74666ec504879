//! What a notice says. Plain text only: parts of it come from receivers, who are not to be trusted with more.

use std::fmt::Write as _;

use anyhow::Context as _;
use domain::{
    NoticeId,
    advice::suggested_action,
    registry::{Account, AccountEntry, Deactivation, DeactivationCause, Destination},
};
use lettre::{
    Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
};

use crate::{notifier::Failure, post::PostError};

/// Who speaks.
#[derive(Debug)]
pub(crate) struct Sender {
    from: Mailbox,
    brand: String,
}

impl Sender {
    pub(crate) fn new(address: &str, brand: &str) -> anyhow::Result<Self> {
        let from = address.parse().with_context(|| format!("--mail-from: {address:?} is no mail address"))?;
        let one_line = !brand.is_empty() && !brand.chars().any(char::is_control);
        anyhow::ensure!(one_line, "--brand: {brand:?} is not one line of text");
        Ok(Self { from, brand: brand.to_owned() })
    }
}

/// A notice, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) notice: NoticeId,
    pub(crate) recipients: Vec<String>,
    pub(crate) subject: String,
    from: Mailbox,
    body: String,
}

impl Letter {
    pub(crate) fn about_failure(sender: &Sender, account: &Account, notice: NoticeId, failure: &Failure<'_>) -> Self {
        let brand = account.brand.as_deref().unwrap_or(&sender.brand);
        Self {
            notice,
            recipients: account.notification_emails.clone(),
            subject: format!("{brand} Webhook Error Notice"),
            from: sender.from.clone(),
            body: body(failure),
        }
    }

    /// That a rule switched a destination off, for the people behind the API.
    pub(crate) fn about_deactivation(
        sender: &Sender,
        entry: &AccountEntry,
        notice: NoticeId,
        destination: &Destination,
        why: &Deactivation,
    ) -> Self {
        let brand = entry.account.brand.as_deref().unwrap_or(&sender.brand);
        Self {
            notice,
            recipients: entry.told_of_deactivations(),
            subject: format!("{brand} Webhook Deactivated"),
            from: sender.from.clone(),
            body: deactivation_body(destination, why),
        }
    }

    /// The mail. Its Message-ID is computed from the notice, so that a mail that went out twice can be known.
    pub(crate) fn mail_to(&self, recipient: &str) -> Result<Message, PostError> {
        let refused = |e: &dyn std::fmt::Display| PostError::Refused(format!("it is no mail: {e}"));
        let builder = Message::builder()
            .to(recipient.parse().map_err(|e| refused(&e))?)
            .from(self.from.clone())
            .subject(self.subject.clone())
            .message_id(Some(format!("<{}@leadline>", self.notice)))
            .date_now()
            .header(ContentType::TEXT_PLAIN);
        let mut mail = builder.body(self.body.clone()).map_err(|e| refused(&e))?;
        // Keeps automatic replies away (RFC 3834).
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".to_owned()));
        Ok(mail)
    }
}

fn deactivation_body(destination: &Destination, why: &Deactivation) -> String {
    let cause = match why.cause {
        DeactivationCause::Exhausted => "a delivery used up all of its attempts",
        DeactivationCause::Gone => "the receiver answered 410: it is gone for good",
    };
    let since = why.first_failed_at.map(|at| format!("First failure:    {at:.0}\n")).unwrap_or_default();
    format!(
        "A webhook was deactivated, because {cause}.\n\n\
         Webhook:          {} ({})\nURL:              {}\nDeactivated at:   {:.0}\n{since}\n\
         Nothing is lost: what it should get is held. Once the receiver works again, enable the destination, and what\n\
         is held is sent; or enable it and skip what is held.\n",
        destination.name, destination.id, destination.url, why.at
    )
}

fn body(failure: &Failure<'_>) -> String {
    let reference = failure.reference;
    let mut text = String::from("A lead could not be delivered to a webhook.\n\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<18}{value}");
    };
    line("Lead:", reference.lead.as_str());
    line("Interface:", reference.interface.as_str());
    line("Event:", &format!("{} {}", reference.event_type, reference.event_id));
    line("Destination:", &format!("{} ({})", failure.destination_name, reference.destination));
    line("URL:", &failure.url);
    line("Attempts:", &failure.attempts.to_string());
    line("Failed at:", &format!("{:.0} ({})", failure.at, failure.reason));
    line("Delivery:", &reference.delivery.to_string());
    let action = match failure.outcome {
        Some(outcome) => {
            let status = outcome.status_code();
            match outcome.error_kind() {
                Some(kind) => line("Status:", &format!("{status} ({kind})")),
                None => line("Status:", &status.to_string()),
            }
            line("Response:", &outcome.webhook_response().replace('\n', "\n                  "));
            suggested_action(status, outcome.error_kind())
        }
        None => "The lead's data is no longer stored, so it cannot be sent again. Publish it again.",
    };
    let _ = write!(
        text,
        "\nWhat to do: {action}\n\nThe lead is kept. Once the receiver works again, retry the delivery, and the original payload is sent.\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{
        AccountId, AttemptOutcome, DeliveryFact, DestinationId, ErrorKind, EventId, EventType, InterfaceId, LeadEvent,
        LeadId, LeadSequence, delivery::request, registry::Routing,
    };
    use jiff::Timestamp;

    use super::*;

    fn requested() -> DeliveryFact {
        let event = LeadEvent {
            event_id: EventId::parse("evt-1").unwrap(),
            account: AccountId::parse("acme").unwrap(),
            interface: InterfaceId::parse("form").unwrap(),
            client: None,
            lead: LeadId::parse("lead-1").unwrap(),
            destination: None,
            event_type: EventType::lead_created(),
            occurred_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
            registry_sequence: 0,
            payload: bytes::Bytes::new(),
        };
        request(&event, LeadSequence(1), &DestinationId::parse("dst_1").unwrap(), Timestamp::UNIX_EPOCH)
    }

    fn letter(outcome: &AttemptOutcome) -> Letter {
        let fact = requested();
        let failure = Failure {
            reference: fact.reference(),
            destination_name: "CRM".into(),
            url: "https://crm.example/hook".into(),
            attempts: 8,
            at: Timestamp::UNIX_EPOCH + Duration::from_secs(3_600),
            reason: "exhausted",
            outcome: Some(outcome),
        };
        let account = Account {
            id: AccountId::parse("acme").unwrap(),
            name: "Acme".into(),
            brand: Some("Acme Cloud".into()),
            notification_emails: vec!["ops@acme.example".into(), "owner@acme.example".into()],
            api_user_emails: vec![],
            routing: Routing::Override,
            deleted: false,
        };
        let sender = Sender::new("Leads <leads@example.com>", "Leadline").unwrap();
        let notice = NoticeId::of_failure(failure.reference.delivery, 0);
        Letter::about_failure(&sender, &account, notice, &failure)
    }

    #[test]
    fn a_notice_says_what_failed_and_what_to_do() {
        let outcome = AttemptOutcome::Response { status: 422, excerpt: "bad\nfield".into(), retry_after: None };
        let letter = letter(&outcome);
        assert_eq!(letter.subject, "Acme Cloud Webhook Error Notice");
        insta::assert_snapshot!(letter.body);
    }

    #[test]
    fn the_mail_is_the_same_mail_each_time() {
        let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Dns, message: "no such host".into() };
        let parsed = |mail: &[u8], name: &str| {
            let (headers, _) = mailparse::parse_headers(mail).unwrap();
            mailparse::MailHeaderMap::get_first_value(&headers[..], name).unwrap()
        };
        let (one, two) = (
            letter(&outcome).mail_to("ops@acme.example").unwrap().formatted(),
            letter(&outcome).mail_to("ops@acme.example").unwrap().formatted(),
        );
        assert_eq!(parsed(&one, "Message-ID"), parsed(&two, "Message-ID"));
        assert_eq!(parsed(&one, "To"), "ops@acme.example");
        assert_eq!(parsed(&one, "Auto-Submitted"), "auto-generated");
        let text = String::from_utf8(mailparse::parse_mail(&one).unwrap().get_body_raw().unwrap()).unwrap();
        assert!(text.contains("999 (dns)") && text.contains("does not resolve"), "{text}");
    }
}
