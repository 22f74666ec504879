//! The mail of a notice: a text part and an HTML part with the same content, under the brand of the account.

use anyhow::Context as _;
use domain::{AccountId, NoticeId, notice::NoticeKind, registry::envelope_address};
use lettre::{
    Address, Message,
    address::Envelope,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
};

use crate::{
    links::{console::Console, details::Details, target::Target, unsubscribe::Unsubscribing},
    writing::{
        body::Content,
        templates::{self, Footer},
    },
};

/// The sender of every mail, and the links that mails carry.
#[derive(Debug)]
pub(crate) struct Sender {
    from: Mailbox,
    unsubscribing: Option<Unsubscribing>,
    details: Option<Details>,
    console: Option<Console>,
}

/// The content of a notice and its recipients.
#[derive(Debug, Clone)]
pub(crate) struct Email {
    pub(crate) account: AccountId,
    pub(crate) notice: NoticeId,
    pub(crate) kind: NoticeKind,
    pub(crate) recipients: Vec<String>,
    pub(crate) brand: String,
    /// Whether it is about several leads.
    pub(crate) is_digest: bool,
    /// The part of the subject after the fixed words; may be empty.
    pub(crate) about: String,
    /// The target of the links that are added to the page; `None` if none are added.
    pub(crate) target: Option<Target>,
    pub(crate) page: Content,
}

/// The mail for one recipient.
#[derive(Debug)]
pub(crate) struct Mail {
    pub(crate) notice: NoticeId,
    /// The address as the account wrote it.
    pub(crate) recipient: String,
    /// The envelope sender.
    pub(crate) from: Address,
    /// The envelope recipient.
    pub(crate) to: Address,
    pub(crate) message: Message,
}

impl Sender {
    pub(crate) fn new(
        address: &str,
        unsubscribing: Option<Unsubscribing>,
        details: Option<Details>,
        console: Option<Console>,
    ) -> anyhow::Result<Self> {
        let wrong = || format!("--mail-from: {address:?} is not a mail address");
        let from: Mailbox = address.parse().with_context(wrong)?;
        let email = envelope(from.email.as_ref()).map_err(anyhow::Error::msg).with_context(wrong)?;
        Ok(Self { from: Mailbox::new(from.name, email), unsubscribing, details, console })
    }

    /// The domain of the sender: it greets the mail server and ends each Message-ID.
    pub(crate) fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// The mail for one recipient. Its Message-ID is computed from the notice and the recipient, so that a mail that
    /// went out twice can be recognised. `left_out` counts the mails to this recipient that a quota left out before.
    ///
    /// # Errors
    /// Why the recipient can get no mail.
    pub(crate) fn mail(&self, email: &Email, recipient: &str, left_out: u64) -> Result<Mail, String> {
        let refused = |e: &dyn std::fmt::Display| format!("cannot make the mail: {e}");
        let to = envelope(recipient).map_err(|e| refused(&e))?;
        // Without an envelope, lettre reads the addresses from the headers and fails at quoted ones.
        let on_envelope = Envelope::new(Some(self.from.email.clone()), vec![to.clone()]).map_err(|e| refused(&e))?;
        let builder = Message::builder()
            .envelope(on_envelope)
            .to(Mailbox::new(None, to.clone()))
            .from(self.from.clone())
            .subject(email.subject())
            .message_id(Some(format!("<{}@{}>", email.notice.copy_for(recipient), self.domain())))
            .date_now();
        // Prevents automatic replies (RFC 3834).
        let mut headers = vec![("Auto-Submitted", "auto-generated".to_owned())];
        let unsubscribe_url = self.unsubscribing.as_ref().map(|unsubscribing| {
            let url = unsubscribing.url(&email.account, email.kind, recipient);
            headers.push(("List-Unsubscribe", format!("<{url}>")));
            if unsubscribing.is_one_click() {
                headers.push(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
            }
            url
        });
        let target = self.details.as_ref().zip(email.target.as_ref());
        let details_url = target.map(|(details, target)| details.url(&email.account, target));
        let footer = Footer { kind: email.kind, details_url, unsubscribe_url, left_out };
        let page = match self.console.as_ref().zip(email.target.as_ref()) {
            Some((console, target)) => templates::with_console(email.page.clone(), console.url(&email.account, target)),
            None => email.page.clone(),
        };
        let page = templates::with_footer(page, footer);
        let body = MultiPart::alternative_plain_html(page.text(), page.html(&email.brand));
        let mut mail = builder.multipart(body).map_err(|e| refused(&e))?;
        for (name, value) in headers {
            mail.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        }
        let from = self.from.email.clone();
        Ok(Mail { notice: email.notice, recipient: recipient.to_owned(), from, to, message: mail })
    }
}

/// The address in the form that mail servers accept.
fn envelope(address: &str) -> Result<Address, String> {
    let ascii = envelope_address(address)?;
    let (local, domain) = ascii.rsplit_once('@').ok_or("it has no @")?;
    Address::new(local, domain).map_err(|e| e.to_string())
}

impl Email {
    pub(crate) fn subject(&self) -> String {
        let words = match self.kind {
            NoticeKind::Lead if self.is_digest => "New Leads",
            kind => subject(kind),
        };
        match self.about.as_str() {
            "" => format!("{} {words}", self.brand),
            about => format!("{} {words}: {about}", self.brand),
        }
    }
}

/// The fixed words of the subject line, after the brand.
const fn subject(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Error => "Webhook Error Notice",
        NoticeKind::Deactivation => "Webhook Deactivated",
        NoticeKind::RepeatedFailures => "Webhook Keeps Failing",
        NoticeKind::Recovery => "Webhook Recovered",
        NoticeKind::Lead => "New Lead",
        NoticeKind::Confirmation => "Please Confirm Your Address",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{
        AttemptId, AttemptOutcome, DeliveryFact, DestinationId, ErrorKind, LeadSequence, Registry, Work,
        delivery::{Effect, Execution, RequestLine, after_attempt, request},
    };
    use jiff::Timestamp;

    use super::*;
    use crate::{
        links::link_pages::PublicUrl,
        writing::{samples, subjects, templates},
    };

    fn failed(outcome: &AttemptOutcome) -> DeliveryFact {
        let requested =
            request(&samples::event(), LeadSequence(1), &DestinationId::parse("dst_1").unwrap(), Timestamp::UNIX_EPOCH);
        let work = Work { attempt: 8, ..Work::requested_by(&requested).unwrap() };
        let execution = Execution {
            attempt_id: AttemptId::from_uuid(uuid::Uuid::nil()),
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::from_secs(3_600),
            request: RequestLine { method: "POST".into(), url: "https://crm.example/hook".into() },
            outcome: outcome.clone(),
            exchange: None,
            destination_off: false,
            others_succeeded: false,
            trace: None,
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

    fn email(outcome: &AttemptOutcome) -> Email {
        let fact = failed(outcome);
        let reference = fact.reference();
        Email {
            account: AccountId::parse("acme").unwrap(),
            notice: NoticeId::of_failure(reference.delivery, 0),
            kind: NoticeKind::Error,
            recipients: vec!["ops@acme.example".into(), "owner@acme.example".into()],
            brand: "Acme Cloud".into(),
            is_digest: false,
            about: subjects::failure("CRM", Some(&fact)),
            target: Some(Target::Destination(reference.destination.clone(), Some(reference.delivery))),
            page: templates::failure(&fact, &Registry::default()),
        }
    }

    fn sender(public_url: Option<&str>) -> Sender {
        let key = crypto::MasterKey::generate().unwrap();
        let public_url = public_url.map(|url| PublicUrl::parse(url).unwrap());
        let unsubscribing = public_url.clone().map(|url| Unsubscribing::new(url, &key));
        let details = public_url.map(|url| Details::new(url, &key));
        Sender::new("Leads <leads@example.com>", unsubscribing, details, None).unwrap()
    }

    fn header(mail: &[u8], name: &str) -> Option<String> {
        let (headers, _) = mailparse::parse_headers(mail).unwrap();
        mailparse::MailHeaderMap::get_first_value(&headers[..], name)
    }

    #[test]
    fn a_notice_says_what_failed_and_what_to_do() {
        let outcome = AttemptOutcome::Response { status: 422, excerpt: "bad\nfield".into(), retry_after: None };
        let email = email(&outcome);
        assert_eq!(email.subject(), "Acme Cloud Webhook Error Notice: CRM (422)");
        insta::assert_snapshot!(email.page.text());
        let html = email.page.html(&email.brand);
        for part in ["Acme Cloud", "lead-1", "bad<br>field", "refuses the body&#39;s shape"] {
            assert!(html.contains(part), "{part:?} is missing in:\n{html}");
        }
    }

    #[test]
    fn a_repeated_mail_has_the_same_message_id() {
        let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Dns, message: "no such host".into() };
        let mail_to = |recipient| sender(None).mail(&email(&outcome), recipient, 0).unwrap().message.formatted();
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
    fn a_mail_has_its_unsubscribe_link_in_head_and_body() {
        let email = email(&AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: None });
        // The longest valid address.
        let recipient = format!("{}@{}.example", "o".repeat(64), "acme.".repeat(30).trim_end_matches('.'));
        let mail =
            sender(Some("https://leads.example/leadline")).mail(&email, &recipient, 0).unwrap().message.formatted();
        let listed = header(&mail, "List-Unsubscribe").unwrap();
        let url = listed.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap();
        assert!(url.starts_with("https://leads.example/leadline/unsubscribe/"), "{url}");
        assert_eq!(header(&mail, "List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
        for part in mailparse::parse_mail(&mail).unwrap().subparts {
            let body = part.get_body().unwrap();
            assert!(body.contains(url) && body.contains("https://leads.example/leadline/details/"), "{body}");
        }
        let mail = sender(Some("http://localhost:8080")).mail(&email, "a@b.example", 0).unwrap().message.formatted();
        assert!(header(&mail, "List-Unsubscribe").is_some() && header(&mail, "List-Unsubscribe-Post").is_none());
    }

    #[test]
    fn a_mail_leads_to_the_console_also_without_a_public_url() {
        let mut email = email(&AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: None });
        let console = Console::parse("https://console.example/console").unwrap();
        let sender = Sender::new("leads@example.com", None, None, Some(console)).unwrap();
        let bodies = |email: &Email| {
            let mail = sender.mail(email, "ops@acme.example", 0).unwrap().message.formatted();
            let parts = mailparse::parse_mail(&mail).unwrap().subparts;
            parts.iter().map(|part| part.get_body().unwrap()).collect::<Vec<_>>()
        };
        let [text, html] = &bodies(&email)[..] else { panic!("text and HTML") };
        let url = "https://console.example/console/?account=acme&destination=dst_1";
        assert!(text.contains(&format!("Open in the console: {url}")) && !text.contains("/details/"), "{text}");
        assert!(html.contains(&url.replace('&', "&amp;")), "{html}");
        email.target = None;
        assert!(bodies(&email).iter().all(|body| !body.contains("console")));
    }

    #[test]
    fn mail_names_its_sender_and_counts_left_out_mails() {
        let email = email(&AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: None });
        let sender = Sender::new("Leads <leads@bücher.example>", None, None, None).unwrap();
        let mail = sender.mail(&email, "try..this@bücher.example", 7).unwrap();
        assert_eq!(mail.to.to_string(), "\"try..this\"@xn--bcher-kva.example");
        let mail = mail.message.formatted();
        assert!(header(&mail, "Message-ID").unwrap().ends_with("@xn--bcher-kva.example>"));
        assert_eq!(header(&mail, "From").unwrap(), "Leads <leads@xn--bcher-kva.example>");
        assert!(mailparse::parse_mail(&mail).unwrap().subparts[0].get_body().unwrap().contains("7 mails to you"));
    }

    proptest::proptest! {
        #[test]
        fn every_address_that_is_accepted_can_be_mailed(
            local in proptest::prop_oneof![
                "[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~\"@é-]{0,66}",
                "[.]{0,2}[a-z0-9+]{0,8}[.]{0,3}[a-z0-9_'-]{0,8}[.]{0,2}",
            ],
            domain in proptest::prop_oneof!["[a-zA-Z0-9.üß例_%-]{0,70}", "[a-zü例]{1,20}[.][a-z]{2,8}"],
        ) {
            let address = format!("{local}@{domain}");
            let email = email(&AttemptOutcome::Response { status: 500, excerpt: String::new(), retry_after: None });
            let mail = sender(None).mail(&email, &address, 0);
            let is_accepted = domain::registry::check_email(&address).is_ok();
            proptest::prop_assert_eq!(mail.is_ok(), is_accepted, "{}: {:?}", address, mail);
            if let Ok(mail) = mail {
                let to = header(&mail.message.formatted(), "To").unwrap();
                let is_same = mail.to.to_string().is_ascii() && to == mail.to.to_string();
                proptest::prop_assert!(is_same, "{} is {}", address, to);
            }
        }
    }

    #[test]
    fn values_from_accounts_and_receivers_add_no_header() {
        let excerpt = "x\r\nBcc: evil@example.com\r\n\r\n--boundary".to_owned();
        let mut email = email(&AttemptOutcome::Response { status: 500, excerpt, retry_after: None });
        email.brand = "Acme\r\nBcc: evil@example.com".into();
        let mail = sender(None).mail(&email, "ops@acme.example", 0).unwrap().message.formatted();
        assert_eq!(header(&mail, "Bcc"), None);
        assert_eq!(mailparse::parse_mail(&mail).unwrap().subparts.len(), 2);
        for wrong in ["a@b.example\r\nBcc: evil@example.com", "a@b.example, c@d.example"] {
            assert!(sender(None).mail(&email, wrong, 0).is_err(), "{wrong}");
        }
    }
}
