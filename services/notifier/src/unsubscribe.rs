//! Unsubscribing: the link in a mail, and what is behind it.
//!
//! A link vouches for itself (`crypto::Links`): whoever has the mail may say that its recipient does not want mails of
//! this kind about this account, and nobody else may. Opening the link only asks, because programs that look through
//! mails open links, too; the button, or the mail program itself (RFC 8058), says yes. What is said is a fact in the
//! registry, where operators see it. Only the person, by a button on the same page, or a platform-wide key takes it back.

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
    desk::{Desk, PublicUrl, Trouble},
    page::Block,
    texts,
};

/// What the links are for, so that no other link is taken for one of them.
const PURPOSE: &str = "leadline unsubscribe";
/// Who is said to have made the change.
const BY: &str = "unsubscribe link";
const BY_AGAIN: &str = "resubscribe link";

/// Makes the links.
#[derive(Debug, Clone)]
pub(crate) struct Unsubscribing {
    links: Links,
    public_url: PublicUrl,
}

impl Unsubscribing {
    pub(crate) fn new(public_url: PublicUrl, key: &MasterKey) -> Self {
        Self { links: Links::new(key, PURPOSE), public_url }
    }

    /// The link for a mail of this kind to this recipient.
    pub(crate) fn url(&self, account: &AccountId, kind: NoticeKind, recipient: &str) -> String {
        // Neither of the first two parts can contain a '/'.
        let link = self.links.write(&format!("{account}/{}/{recipient}", kind.as_str()));
        self.public_url.at("unsubscribe", &link)
    }

    /// Whether mail programs may use the link by themselves: RFC 8058 wants HTTPS.
    pub(crate) fn is_one_click(&self) -> bool {
        self.public_url.is_https()
    }

    fn read(&self, link: &str) -> Option<OptOut> {
        let said = self.links.read(link)?;
        let (account, rest) = said.split_once('/')?;
        let (kind, email) = rest.split_once('/')?;
        Some(OptOut::new(AccountId::parse(account).ok()?, email, NoticeKind::parse(kind)?))
    }
}

/// Answers the links.
struct Unsubscriber {
    unsubscribing: Unsubscribing,
    desk: Desk,
}

/// `GET` asks, `POST` says yes; `POST` to `again` takes that back.
pub(crate) fn routes(unsubscribing: Unsubscribing, desk: Desk) -> Router {
    Router::new()
        .route("/unsubscribe/{link}", get(ask).post(unsubscribe))
        .route("/unsubscribe/{link}/again", post(resubscribe))
        .with_state(Arc::new(Unsubscriber { unsubscribing, desk }))
}

async fn ask(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(asked) = this.unsubscribing.read(&link) else { return this.desk.no_link() };
    let (what, email) = (texts::mails_about(asked.kind), &asked.email);
    if !this.desk.wants(&asked.account, email, asked.kind) {
        return this.is_unsubscribed(&asked, &link);
    }
    let question = format!("Shall {email} get no more mails about {what} of the account {}?", asked.account);
    let blocks = vec![Block::Text(question), Block::Confirm("Unsubscribe")];
    this.desk.answer(StatusCode::OK, &asked.account, "Unsubscribe", blocks)
}

async fn unsubscribe(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(asked) = this.unsubscribing.read(&link) else { return this.desk.no_link() };
    match this.desk.change(BY, Command::CreateOptOut(asked.clone())).await {
        Ok(()) | Err(Trouble::Refused(Refusal::AlreadyExists { .. })) => this.is_unsubscribed(&asked, &link),
        Err(trouble) => this.desk.refuse(&asked.account, "Not unsubscribed", trouble),
    }
}

async fn resubscribe(State(this): State<Arc<Unsubscriber>>, Path(link): Path<String>) -> Response {
    let Some(asked) = this.unsubscribing.read(&link) else { return this.desk.no_link() };
    let (account, id) = (asked.account.clone(), asked.id.clone());
    let what = texts::mails_about(asked.kind);
    let words = format!("{} gets mails about {what} of the account {account} again.", asked.email);
    match this.desk.change(BY_AGAIN, Command::DeleteOptOut(account.clone(), id)).await {
        // It was taken back before; without an account there is nothing to get mails about.
        Err(Trouble::Refused(Refusal::NotFound { kind: EntityKind::OptOut, .. })) | Ok(()) => {}
        Err(trouble) => return this.desk.refuse(&account, "Not subscribed", trouble),
    }
    this.desk.answer(StatusCode::OK, &account, "You get these mails again", vec![Block::Text(words)])
}

impl Unsubscriber {
    fn is_unsubscribed(&self, asked: &OptOut, link: &str) -> Response {
        let (what, account) = (texts::mails_about(asked.kind), &asked.account);
        let words = format!("{} gets no more mails about {what} of the account {account}.", asked.email);
        let back = "Only you and the operators of this service can take that back.".to_owned();
        // Relative to the page that it stands on, whatever is before that.
        let again = Block::ConfirmAt("Send me these mails again", format!("{link}/again"));
        let blocks = vec![Block::Text(words), Block::Text(back), again];
        self.desk.answer(StatusCode::OK, account, "You are unsubscribed", blocks)
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
        let asked = unsubscribing.read(link).unwrap();
        assert_eq!(asked, OptOut::new(account, "a/b@acme.example", NoticeKind::Lead));
        let other = Unsubscribing::new(public(), &MasterKey::generate().unwrap());
        assert_eq!(other.read(link), None);
    }
}
