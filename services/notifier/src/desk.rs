//! What the pages behind the links of mails have in common: how they look, and how a person's yes becomes a fact.

use std::time::Duration;

use anyhow::Context as _;
use axum::{
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use domain::{
    AccountId, RegistryFact,
    notice::NoticeKind,
    registry::{Command, Refusal, UrlRules, check_brand},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};
use runtime::ErrorChain as _;

use crate::page::{Block, Page};

/// How often a change is decided again after another process was faster.
const MAX_TRIES: usize = 5;
/// How long that change may take to get here.
const KNOWN_DEADLINE: Duration = Duration::from_secs(5);
/// A page that no cache keeps, that tells no server where it was, and that can do nothing but ask.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
];

/// The address at which the HTTP port is reached from outside.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let url = url::Url::parse(text).ok().filter(|url| ["https", "http"].contains(&url.scheme()));
        let url = url.with_context(|| format!("--public-url: {text:?} is no URL such as https://leads.example"))?;
        anyhow::ensure!(url.query().is_none() && url.fragment().is_none(), "--public-url ends with its path");
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The URL of a link.
    pub(crate) fn at(&self, page: &str, link: &str) -> String {
        format!("{}/{page}/{link}", self.0)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// Answers people.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    /// The brand of accounts that have none.
    pub(crate) brand: String,
}

pub(crate) enum Trouble {
    Refused(Refusal),
    Journal(JournalError),
}

impl Desk {
    /// Whether a person gets mails of a kind.
    pub(crate) fn wants(&self, account: &AccountId, email: &str, kind: NoticeKind) -> bool {
        self.registry.snapshot().account(account).is_none_or(|entry| entry.wants(email, kind))
    }

    /// Records what a person said.
    pub(crate) async fn change(&self, by: &str, command: Command) -> Result<(), Trouble> {
        let mut registry = self.registry.snapshot();
        for _ in 0..MAX_TRIES {
            let decision = registry.decide(command.clone(), UrlRules::default()).map_err(Trouble::Refused)?;
            let fact = RegistryFact { at: Timestamp::now(), by: by.to_owned(), change: decision.change };
            match self.journal.append_registry(&fact, decision.expected_version).await {
                Ok(sequence) => {
                    // The page that is shown next tells what there is now.
                    let _ = self.registry.at_least(sequence, KNOWN_DEADLINE).await;
                    return Ok(());
                }
                Err(JournalError::LostRace) => {
                    let newer = self.registry.at_least(registry.sequence() + 1, KNOWN_DEADLINE).await;
                    registry = newer.ok_or(Trouble::Journal(JournalError::LostRace))?;
                }
                Err(error) => return Err(Trouble::Journal(error)),
            }
        }
        Err(Trouble::Journal(JournalError::LostRace))
    }

    pub(crate) fn refuse(&self, account: &AccountId, title: &str, trouble: Trouble) -> Response {
        let (status, title, words) = match trouble {
            Trouble::Refused(refusal) => (StatusCode::GONE, "Nothing is mailed", format!("Nothing to do: {refusal}.")),
            Trouble::Journal(error) => {
                tracing::warn!(error = error.chain(), "cannot store what a person said by a link");
                let words = "This cannot be stored now. Try again in a minute.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, title, words)
            }
        };
        self.answer(status, account, title, vec![Block::Text(words)])
    }

    pub(crate) fn no_link(&self) -> Response {
        let words = "This link was cut off or is not one of ours. Copy the whole link from the mail.".to_owned();
        let page = Page { title: "No such link".into(), blocks: vec![Block::Text(words)] };
        (StatusCode::NOT_FOUND, HEADERS, Html(page.html(&self.brand))).into_response()
    }

    pub(crate) fn answer(&self, status: StatusCode, account: &AccountId, title: &str, blocks: Vec<Block>) -> Response {
        let registry = self.registry.snapshot();
        let brand = registry.account(account).and_then(|entry| entry.account.brand.as_deref());
        let brand = brand.filter(|brand| check_brand(brand).is_ok()).unwrap_or(&self.brand);
        let page = Page { title: title.to_owned(), blocks };
        (status, HEADERS, Html(page.html(brand))).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_web_address_is_a_public_url() {
        for wrong in ["", "leads.example", "ftp://leads.example", "https://leads.example/?a=b"] {
            assert!(PublicUrl::parse(wrong).is_err(), "{wrong}");
        }
        assert!(!PublicUrl::parse("http://localhost:8080").unwrap().is_https());
    }
}
