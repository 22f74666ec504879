//! A notice as a mail: the same as text and as HTML, in the name of the account's brand.

use anyhow::Context as _;
use domain::{AccountId, NoticeId, notice::NoticeKind};
use lettre::{
    Message,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use crate::{
    page::{Block, Page},
    post::PostError,
    texts,
    unsubscribe::Unsubscribing,
};

/// Who speaks.
#[derive(Debug)]
pub(crate) struct Sender {
    from: Mailbox,
    unsubscribing: Option<Unsubscribing>,
}

/// A notice and whom it is for.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) account: AccountId,
    pub(crate) notice: NoticeId,
    pub(crate) kind: NoticeKind,
    pub(crate) recipients: Vec<String>,
    pub(crate) brand: String,
    pub(crate) page: Page,
}

impl Sender {
    pub(crate) fn new(address: &str, unsubscribing: Option<Unsubscribing>) -> anyhow::Result<Self> {
        let from = address.parse().with_context(|| format!("--mail-from: {address:?} is no mail address"))?;
        Ok(Self { from, unsubscribing })
    }

    /// The mail for one recipient. Its Message-ID is computed from the notice and from who gets it, so that a mail that
    /// went out twice can be known.
    pub(crate) fn mail(&self, letter: &Letter, recipient: &str) -> Result<Message, PostError> {
        let refused = |e: &dyn std::fmt::Display| PostError::Refused(format!("it is no mail: {e}"));
        let builder = Message::builder()
            .to(recipient.parse().map_err(|e| refused(&e))?)
            .from(self.from.clone())
            .subject(letter.subject())
            .message_id(Some(format!("<{}@leadline>", letter.notice.copy_for(recipient))))
            .date_now();
        let mut page = letter.page.clone();
        // Keeps automatic replies away (RFC 3834).
        let mut headers = vec![("Auto-Submitted", "auto-generated".to_owned())];
        if let Some(unsubscribing) = &self.unsubscribing {
            let url = unsubscribing.url(&letter.account, letter.kind, recipient);
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            if unsubscribing.is_one_click() {
                headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
            }
            let words = format!("No more mails about {}", texts::mails_about(letter.kind));
            page.blocks.push(Block::Link(words, url));
        }
        let body = MultiPart::alternative_plain_html(page.text(), page.html(&letter.brand));
        let mut mail = builder.multipart(body).map_err(|e| refused(&e))?;
        for (name, value) in headers {
            mail.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        Ok(mail)
    }
}

impl Letter {
    /// What the subject line says.
    pub(crate) fn subject(&self) -> String {
        format!("{} {}", self.brand, subject(self.kind))
    }
}

/// What the subject line says after the brand.
const fn subject(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Error => "Webhook Error Notice",
        NoticeKind::Deactivation => "Webhook Deactivated",
        NoticeKind::RepeatedFailures => "Webhook Keeps Failing",
        NoticeKind::Recovery => "Webhook Recovered",
        NoticeKind::Lead => "New Lead",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{
        AttemptId, AttemptOutcome, DeliveryFact, DestinationId, ErrorKind, EventId, EventType, InterfaceId, LeadEvent,
        LeadId, LeadSequence, Registry, Work,
        delivery::{Effect, Execution, RequestLine, after_attempt, request},
    };
    use jiff::Timestamp;

    use super::*;
    use crate::texts;

    fn failed(outcome: &AttemptOutcome) -> DeliveryFact {
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
            hops: 0,
            payload: bytes::Bytes::new(),
        };
        let requested =
            request(&event, LeadSequence(1), &DestinationId::parse("dst_1").unwrap(), Timestamp::UNIX_EPOCH);
        let work = Work { attempt: 8, ..Work::asked_for_by(&requested).unwrap() };
        let execution = Execution {
            attempt_id: AttemptId::from_uuid(uuid::Uuid::nil()),
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::from_secs(3_600),
            request: RequestLine { method: "POST".into(), url: "https://crm.example/hook".into() },
            outcome: outcome.clone(),
            destination_off: false,
            others_succeeded: false,
        };
        let policy = domain::RetryPolicy { schedule: vec![], ..domain::RetryPolicy::standard() };
        let policy = domain::RetryPolicy { quick: domain::policy::QuickRetries { count: 0, ..policy.quick }, ..policy };
        let effects = after_attempt(&work, &policy, execution);
        let fact = effects.into_iter().find_map(|effect| match effect {
            Effect::Append(fact) => Some(fact),
            _ => None,
        });
        fact.unwrap()
    }

    fn letter(outcome: &AttemptOutcome) -> Letter {
        let fact = failed(outcome);
        Letter {
            account: AccountId::parse("acme").unwrap(),
            notice: NoticeId::of_failure(fact.reference().delivery, 0),
            kind: NoticeKind::Error,
            recipients: vec!["ops@acme.example".into(), "owner@acme.example".into()],
            brand: "Acme Cloud".into(),
            page: texts::failure(&fact, &Registry::default()),
        }
    }

    fn sender(public_url: Option<&str>) -> Sender {
        let key = crypto::MasterKey::generate().unwrap();
        let unsubscribing = public_url.map(|url| Unsubscribing::new(url, &key).unwrap());
        Sender::new("Leads <leads@example.com>", unsubscribing).unwrap()
    }

    fn header(mail: &[u8], name: &str) -> Option<String> {
        let (headers, _) = mailparse::parse_headers(mail).unwrap();
        mailparse::MailHeaderMap::get_first_value(&headers[..], name)
    }

    #[test]
    fn a_notice_says_what_failed_and_what_to_do() {
        let outcome = AttemptOutcome::Response { status: 422, excerpt: "bad\nfield".into(), retry_after: None };
        let letter = letter(&outcome);
        assert_eq!(letter.subject(), "Acme Cloud Webhook Error Notice");
        insta::assert_snapshot!(letter.page.text());
        let html = letter.page.html(&letter.brand);
        for part in ["Acme Cloud", "lead-1", "bad<br>field", "refuses the body&#39;s shape"] {
            assert!(html.contains(part), "{part:?} is missing in:\n{html}");
        }
    }

    #[test]
    fn the_mail_is_the_same_mail_each_time() {
        let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Dns, message: "no such host".into() };
        let mail_to = |recipient| sender(None).mail(&letter(&outcome), recipient).unwrap().formatted();
        let parsed = |mail: &[u8], name: &str| header(mail, name).unwrap();
        let (one, two) = (mail_to("ops@acme.example"), mail_to("ops@acme.example"));
        assert_ne!(parsed(&one, "Message-ID"), parsed(&mail_to("owner@acme.example"), "Message-ID"));
        assert_eq!(header(&one, "List-Unsubscribe"), None);
        assert_eq!(parsed(&one, "Message-ID"), parsed(&two, "Message-ID"));
        assert_eq!(parsed(&one, "To"), "ops@acme.example");
        assert_eq!(parsed(&one, "Auto-Submitted"), "auto-generated");
        let mail = mailparse::parse_mail(&one).unwrap();
        assert_eq!(mail.ctype.mimetype, "multipart/alternative");
        let [text, html] = &mail.subparts[..] else { panic!("two parts: {mail:?}") };
        assert_eq!((&*text.ctype.mimetype, &*html.ctype.mimetype), ("text/plain", "text/html"));
        for part in [text, html] {
            let body = part.get_body().unwrap();
            assert!(body.contains("999 (dns)") && body.contains("does not resolve"), "{body}");
        }
    }

    #[test]
    fn whoever_can_unsubscribe_finds_how_in_head_and_body() {
        let letter = letter(&AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: None });
        // The longest that there can be.
        let recipient = format!("{}@{}.example", "o".repeat(64), "acme.".repeat(30).trim_end_matches('.'));
        let mail = sender(Some("https://leads.example/leadline")).mail(&letter, &recipient).unwrap().formatted();
        let listed = header(&mail, "List-Unsubscribe").unwrap();
        let url = listed.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap();
        assert!(url.starts_with("https://leads.example/leadline/unsubscribe/"), "{url}");
        assert_eq!(header(&mail, "List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
        for part in mailparse::parse_mail(&mail).unwrap().subparts {
            assert!(part.get_body().unwrap().contains(url));
        }
        let mail = sender(Some("http://localhost:8080")).mail(&letter, "a@b.example").unwrap().formatted();
        assert!(header(&mail, "List-Unsubscribe").is_some() && header(&mail, "List-Unsubscribe-Post").is_none());
    }

    #[test]
    fn what_strangers_wrote_adds_no_header() {
        let excerpt = "x\r\nBcc: evil@example.com\r\n\r\n--boundary".to_owned();
        let mut letter = letter(&AttemptOutcome::Response { status: 500, excerpt, retry_after: None });
        letter.brand = "Acme\r\nBcc: evil@example.com".into();
        let mail = sender(None).mail(&letter, "ops@acme.example").unwrap().formatted();
        assert_eq!(header(&mail, "Bcc"), None);
        assert_eq!(mailparse::parse_mail(&mail).unwrap().subparts.len(), 2);
        for wrong in ["a@b.example\r\nBcc: evil@example.com", "a@b.example, c@d.example"] {
            assert!(sender(None).mail(&letter, wrong).is_err(), "{wrong}");
        }
    }
}
