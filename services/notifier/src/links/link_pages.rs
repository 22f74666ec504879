//! The common parts of the pages behind the links in mails: how a page is sent, and how a click becomes a fact.

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
use url::Url;

use crate::writing::body::{Block, Content};

/// The maximum number of tries of a change, because other processes may change the registry first.
const MAX_TRIES: usize = 5;
/// How long a change of the registry may take to reach the registry view.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);
/// No cache keeps the page, no other server learns its URL, and the page can only send its own form.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    ),
];

/// The URL at which the HTTP port is reached from outside.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        Ok(Self(web_url("--public-url", text)?.as_str().trim_end_matches('/').to_owned()))
    }

    pub(crate) fn at(&self, page: &str, link: &str) -> String {
        format!("{}/{page}/{link}", self.0)
    }

    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

/// The URL of a setting. It may have a path, and neither a query nor a fragment.
pub(crate) fn web_url(setting: &str, text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text).ok().filter(|url| ["https", "http"].contains(&url.scheme()));
    let url = url.with_context(|| format!("{setting}: {text:?} is not a URL such as https://leads.example"))?;
    let has_only_path = url.query().is_none() && url.fragment().is_none();
    anyhow::ensure!(has_only_path, "{setting}: {text:?} has a query or a fragment; remove it");
    Ok(url)
}

/// Answers the people who open a link.
#[derive(Debug, Clone)]
pub(crate) struct LinkPages {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    /// The brand of accounts that do not set one.
    pub(crate) brand: String,
}

/// Why a change was not made.
pub(crate) enum ChangeError {
    Refused(Refusal),
    Journal(JournalError),
}

impl LinkPages {
    /// Whether the owner of an address wants mails of a kind. They do unless they opted out.
    pub(crate) fn wants(&self, account: &AccountId, email: &str, kind: NoticeKind) -> bool {
        self.registry.snapshot().account(account).is_none_or(|entry| entry.wants(email, kind))
    }

    /// Decides a change and appends it to the registry.
    pub(crate) async fn change(&self, by: &str, command: Command) -> Result<(), ChangeError> {
        let mut registry = self.registry.snapshot();
        for _ in 0..MAX_TRIES {
            let decision = registry.decide(command.clone(), UrlRules::default()).map_err(ChangeError::Refused)?;
            let fact = RegistryFact { at: Timestamp::now(), by: by.to_owned(), change: decision.change };
            match self.journal.registry().append(&fact, decision.expected_version).await {
                Ok(sequence) => {
                    // The next page then shows the changed registry.
                    let _ = self.registry.at_least(sequence, REGISTRY_TIMEOUT).await;
                    return Ok(());
                }
                Err(JournalError::LostRace) => {
                    let newer = self.registry.at_least(registry.sequence() + 1, REGISTRY_TIMEOUT).await;
                    registry = newer.ok_or(ChangeError::Journal(JournalError::LostRace))?;
                }
                Err(error) => return Err(ChangeError::Journal(error)),
            }
        }
        Err(ChangeError::Journal(JournalError::LostRace))
    }

    pub(crate) fn refuse(&self, account: &AccountId, title: &str, error: ChangeError) -> Response {
        let (status, title, words) = match error {
            ChangeError::Refused(refusal) => {
                (StatusCode::GONE, "Nothing is mailed", format!("Nothing to do: {refusal}."))
            }
            ChangeError::Journal(error) => {
                tracing::warn!(
                    error = error.chain(),
                    "cannot append change of the registry; the person was asked to try again"
                );
                let words = "This cannot be stored now. Try again in a minute.".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, title, words)
            }
        };
        self.answer(status, account, title, vec![Block::Text(words)])
    }

    pub(crate) fn no_link(&self) -> Response {
        let words = "This link was cut off or is not one of ours. Copy the whole link from the mail.".to_owned();
        let page = Content { title: "No such link".into(), blocks: vec![Block::Text(words)] };
        (StatusCode::NOT_FOUND, HEADERS, Html(page.html(&self.brand))).into_response()
    }

    pub(crate) fn answer(&self, status: StatusCode, account: &AccountId, title: &str, blocks: Vec<Block>) -> Response {
        let registry = self.registry.snapshot();
        let brand = registry.account(account).and_then(|entry| entry.account.brand.as_deref());
        let brand = brand.filter(|brand| check_brand(brand).is_ok()).unwrap_or(&self.brand);
        let page = Content { title: title.to_owned(), blocks };
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
