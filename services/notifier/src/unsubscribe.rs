//! Unsubscribing: the link in a mail, and what is behind it.
//!
//! A link vouches for itself (`crypto::Links`): whoever has the mail may say that its recipient does not want mails of
//! this kind about this account, and nobody else may. Opening the link only asks, because programs that look through
//! mails open links, too; the button, or the mail program itself (RFC 8058), says yes. What is said is a fact in the
//! registry, where operators see it and can take it back.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use crypto::{Links, MasterKey};
use domain::{
    AccountId, RegistryFact,
    notice::NoticeKind,
    registry::{Command, OptOut, Refusal, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};

use crate::{
    page::{Block, Page},
    texts,
};

/// What the links are for, so that no other link is taken for one of them.
const PURPOSE: &str = "leadline unsubscribe";
/// Who is said to have made the change.
const BY: &str = "unsubscribe link";
/// How often a change is decided anew after somebody else was faster.
const MOST_TRIES: usize = 5;
/// How long that change may take to get here.
const KNOWN_DEADLINE: Duration = Duration::from_secs(5);
/// A page that nobody keeps, that tells nobody where it was, and that can do nothing but ask.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
];

/// Makes the links.
#[derive(Debug, Clone)]
pub(crate) struct Unsubscribing {
    links: Links,
    public_url: String,
}

impl Unsubscribing {
    /// With the address at which the HTTP port is reached from outside.
    pub(crate) fn new(public_url: &str, key: &MasterKey) -> anyhow::Result<Self> {
        let url = url::Url::parse(public_url).ok().filter(|url| ["https", "http"].contains(&url.scheme()));
        let url =
            url.with_context(|| format!("--public-url: {public_url:?} is no URL such as https://leads.example"))?;
        anyhow::ensure!(url.query().is_none() && url.fragment().is_none(), "--public-url ends with its path");
        let public_url = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { links: Links::new(key, PURPOSE), public_url })
    }

    /// The link for a mail of this kind to this recipient.
    pub(crate) fn url(&self, account: &AccountId, kind: NoticeKind, recipient: &str) -> String {
        // Neither of the first two parts can contain a '/'.
        let link = self.links.write(&format!("{account}/{}/{recipient}", kind.as_str()));
        format!("{}/unsubscribe/{link}", self.public_url)
    }

    /// Whether mail programs may use the link by themselves: RFC 8058 wants HTTPS.
    pub(crate) fn is_one_click(&self) -> bool {
        self.public_url.starts_with("https:")
    }

    fn read(&self, link: &str) -> Option<OptOut> {
        let said = self.links.read(link)?;
        let (account, rest) = said.split_once('/')?;
        let (kind, email) = rest.split_once('/')?;
        Some(OptOut::new(AccountId::parse(account).ok()?, email, NoticeKind::parse(kind)?))
    }
}

struct Desk {
    unsubscribing: Unsubscribing,
    journal: Journal,
    registry: RegistryView,
    brand: String,
}

/// `GET` asks, `POST` says yes.
pub(crate) fn routes(unsubscribing: Unsubscribing, journal: Journal, registry: RegistryView, brand: String) -> Router {
    let desk = Arc::new(Desk { unsubscribing, journal, registry, brand });
    Router::new().route("/unsubscribe/{link}", get(ask).post(unsubscribe)).with_state(desk)
}

async fn ask(State(desk): State<Arc<Desk>>, Path(link): Path<String>) -> Response {
    let Some(asked) = desk.unsubscribing.read(&link) else { return desk.no_link() };
    let (what, email) = (texts::mails_about(asked.kind), &asked.email);
    let question = format!("Shall {email} get no more mails about {what} of the account {}?", asked.account);
    let blocks = vec![Block::Text(question), Block::Confirm("Unsubscribe")];
    desk.answer(StatusCode::OK, &asked.account, "Unsubscribe", blocks)
}

async fn unsubscribe(State(desk): State<Arc<Desk>>, Path(link): Path<String>) -> Response {
    let Some(asked) = desk.unsubscribing.read(&link) else { return desk.no_link() };
    let (what, account) = (texts::mails_about(asked.kind), asked.account.clone());
    let done = format!("{} gets no more mails about {what} of the account {account}.", asked.email);
    let (status, title, words) = match desk.opt_out(asked).await {
        Ok(()) => (StatusCode::OK, "You are unsubscribed", done + " The operators of the account can take that back."),
        Err(Trouble::Refused(refusal)) => {
            let words = format!("There is nothing to unsubscribe from: {refusal}.");
            (StatusCode::GONE, "Nothing is mailed any more", words)
        }
        Err(Trouble::Journal(error)) => {
            tracing::warn!(error = error.chain(), "somebody could not unsubscribe");
            let words = "This cannot be stored now. Try again in a minute.".to_owned();
            (StatusCode::SERVICE_UNAVAILABLE, "Not yet unsubscribed", words)
        }
    };
    desk.answer(status, &account, title, vec![Block::Text(words)])
}

enum Trouble {
    Refused(Refusal),
    Journal(JournalError),
}

impl Desk {
    /// Records the opt-out, unless it is there.
    async fn opt_out(&self, asked: OptOut) -> Result<(), Trouble> {
        let mut registry = self.registry.snapshot();
        for _ in 0..MOST_TRIES {
            let decided = registry.decide(Command::CreateOptOut(asked.clone()), UrlRules::default());
            let decision = match decided {
                Ok(decision) => decision,
                Err(Refusal::AlreadyExists { .. }) => return Ok(()),
                Err(refusal) => return Err(Trouble::Refused(refusal)),
            };
            let fact = RegistryFact { at: Timestamp::now(), by: BY.to_owned(), change: decision.change };
            match self.journal.append_registry(&fact, decision.expected_version).await {
                Ok(_) => return Ok(()),
                Err(JournalError::LostRace) => {
                    let newer = self.registry.at_least(registry.sequence() + 1, KNOWN_DEADLINE).await;
                    registry = newer.ok_or(Trouble::Journal(JournalError::LostRace))?;
                }
                Err(error) => return Err(Trouble::Journal(error)),
            }
        }
        Err(Trouble::Journal(JournalError::LostRace))
    }

    fn no_link(&self) -> Response {
        let words = "This link was cut off or is not one of ours. Copy the whole link from the mail.".to_owned();
        let page = Page { title: "No such link".into(), blocks: vec![Block::Text(words)] };
        (StatusCode::NOT_FOUND, HEADERS, Html(page.html(&self.brand))).into_response()
    }

    fn answer(&self, status: StatusCode, account: &AccountId, title: &str, blocks: Vec<Block>) -> Response {
        let registry = self.registry.snapshot();
        let brand = registry.account(account).and_then(|entry| entry.account.brand.as_deref()).unwrap_or(&self.brand);
        let page = Page { title: title.to_owned(), blocks };
        (status, HEADERS, Html(page.html(brand))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_person_account_and_kind() {
        let unsubscribing = Unsubscribing::new("https://leads.example/", &MasterKey::generate().unwrap()).unwrap();
        assert!(unsubscribing.is_one_click());
        let account = AccountId::parse("acme").unwrap();
        let url = unsubscribing.url(&account, NoticeKind::Lead, "A/b@acme.example");
        let link = url.strip_prefix("https://leads.example/unsubscribe/").unwrap();
        let asked = unsubscribing.read(link).unwrap();
        assert_eq!(asked, OptOut::new(account, "a/b@acme.example", NoticeKind::Lead));
        let other = Unsubscribing::new("https://leads.example", &MasterKey::generate().unwrap()).unwrap();
        assert_eq!(other.read(link), None);
    }

    #[test]
    fn only_a_web_address_is_a_public_url() {
        let key = MasterKey::generate().unwrap();
        for wrong in ["", "leads.example", "ftp://leads.example", "https://leads.example/?a=b"] {
            assert!(Unsubscribing::new(wrong, &key).is_err(), "{wrong}");
        }
        assert!(!Unsubscribing::new("http://localhost:8080", &key).unwrap().is_one_click());
    }
}
