//! Unsubscribing: the link in a mail and the page behind it.
//!
//! A link is authenticated (`crypto::Links`): only a reader of the mail can opt its recipient out of mails of this kind
//! about this account. `GET` only shows a question, because mail scanners open links, too. The button or the mail
//! program itself (RFC 8058) confirms with `POST`. An opt-out is a change of the registry, where operators see it. Only
//! the recipient, by a button on the same page, or a platform-wide key undoes it.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use crypto::{Links, MasterKey};
use domain::{
    AccountId,
    notice::NoticeKind,
    registry::{Command, EntityKind, OptOut, Refusal},
};

use crate::{
    links::link_pages::{ChangeError, LinkPages, PublicUrl},
    writing::{body::Block, templates},
};

/// Separates these links from the other links that the master key signs.
const PURPOSE: &str = "leadline unsubscribe";
/// The authors of the changes in the audit log.
const BY: &str = "unsubscribe link";
const BY_AGAIN: &str = "resubscribe link";

#[derive(Debug, Clone)]
pub(crate) struct Unsubscribing {
    links: Links,
    public_url: PublicUrl,
}

impl Unsubscribing {
    pub(crate) fn new(public_url: PublicUrl, key: &MasterKey) -> Self {
        Self { links: Links::new(key, PURPOSE), public_url }
    }

    /// The URL for a mail of this kind to this recipient.
    pub(crate) fn url(&self, account: &AccountId, kind: NoticeKind, recipient: &str) -> String {
        // Neither of the first two parts can contain a '/'.
        let link = self.links.write(&format!("{account}/{}/{recipient}", kind.as_str()));
        self.public_url.at("unsubscribe", &link)
    }

    /// Whether mail programs may use the link by themselves: RFC 8058 requires HTTPS.
    pub(crate) fn is_one_click(&self) -> bool {
        self.public_url.is_https()
    }

    fn read(&self, link: &str) -> Option<OptOut> {
        let content = self.links.read(link)?;
        let (account, rest) = content.split_once('/')?;
        let (kind, email) = rest.split_once('/')?;
        Some(OptOut::new(AccountId::parse(account).ok()?, email, NoticeKind::parse(kind)?))
    }
}

struct Unsubscriber {
    unsubscribing: Unsubscribing,
    pages: LinkPages,
}

/// `GET` shows the question, `POST` opts out; `POST` to `again` undoes that.
pub(crate) fn routes(unsubscribing: Unsubscribing, pages: LinkPages) -> Router {
    Router::new()
        .route("/unsubscribe/{link}", get(ask).post(unsubscribe))
        .route("/unsubscribe/{link}/again", post(resubscribe))
        .with_state(Arc::new(Unsubscriber { unsubscribing, pages }))
}

async fn ask(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(opt_out) = this.unsubscribing.read(&link) else { return this.pages.no_link() };
    let (what, email) = (templates::mails_about(opt_out.kind), &opt_out.email);
    if !this.pages.wants(&opt_out.account, email, opt_out.kind) {
        return this.is_unsubscribed(&opt_out, &link);
    }
    let question = format!("Stop sending {email} mails of the account {} about {what}?", opt_out.account);
    let blocks = vec![Block::Text(question), Block::Confirm("Unsubscribe")];
    this.pages.answer(StatusCode::OK, &opt_out.account, "Unsubscribe", blocks)
}

async fn unsubscribe(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(opt_out) = this.unsubscribing.read(&link) else { return this.pages.no_link() };
    match this.pages.change(BY, Command::CreateOptOut(opt_out.clone())).await {
        Ok(()) | Err(ChangeError::Refused(Refusal::AlreadyExists { .. })) => this.is_unsubscribed(&opt_out, &link),
        Err(error) => this.pages.refuse(&opt_out.account, "Not unsubscribed", error),
    }
}

async fn resubscribe(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(opt_out) = this.unsubscribing.read(&link) else { return this.pages.no_link() };
    let (account, id) = (opt_out.account.clone(), opt_out.id.clone());
    let what = templates::mails_about(opt_out.kind);
    let words = format!("{} gets mails of the account {account} about {what} again.", opt_out.email);
    match this.pages.change(BY_AGAIN, Command::DeleteOptOut(account.clone(), id)).await {
        // The opt-out was undone before. A deleted account is refused, as it sends no mails.
        Err(ChangeError::Refused(Refusal::NotFound { kind: EntityKind::OptOut, .. })) | Ok(()) => {}
        Err(error) => return this.pages.refuse(&account, "Not subscribed", error),
    }
    this.pages.answer(StatusCode::OK, &account, "You get these mails again", vec![Block::Text(words)])
}

impl Unsubscriber {
    fn is_unsubscribed(&self, opt_out: &OptOut, link: &str) -> Response {
        let (what, account) = (templates::mails_about(opt_out.kind), &opt_out.account);
        let words = format!("{} gets no more mails of the account {account} about {what}.", opt_out.email);
        let back = "Only you and the operators of this service can undo that.".to_owned();
        // The path is relative, because the public URL may contain a path.
        let again = Block::ConfirmAt("Send me these mails again", format!("{link}/again"));
        let blocks = vec![Block::Text(words), Block::Text(back), again];
        self.pages.answer(StatusCode::OK, account, "You are unsubscribed", blocks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_person_account_and_kind() {
        let public = || PublicUrl::parse("https://leads.example/").unwrap();
        let unsubscribing = Unsubscribing::new(public(), &MasterKey::generate().unwrap());
        assert!(unsubscribing.is_one_click());
        let account = AccountId::parse("acme").unwrap();
        let url = unsubscribing.url(&account, NoticeKind::Lead, "A/b@acme.example");
        let link = url.strip_prefix("https://leads.example/unsubscribe/").unwrap();
        let opt_out = unsubscribing.read(link).unwrap();
        assert_eq!(opt_out, OptOut::new(account, "a/b@acme.example", NoticeKind::Lead));
        let other = Unsubscribing::new(public(), &MasterKey::generate().unwrap());
        assert_eq!(other.read(link), None);
    }
}
