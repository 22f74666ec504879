//! Confirmation mails: they ask the owner of an address for consent, if a key of the account set the address.
//!
//! The mail carries an authenticated code (`crypto::ConfirmationCodes`). With a public URL the code is part of a link.
//! Without one, the owner gives the code to a person, who calls `ConfirmEmail` with it. In both cases the code proves
//! that the mail was read.
//!
//! Guarantee: an address gets at most one confirmation mail a day for each account, and at most
//! [`MAX_MAILS_PER_ADDRESS`] for all accounts together. The mails are counted in NOTICES, so restarts change nothing.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use crypto::ConfirmationCodes;
use domain::{
    AccountId,
    notice::NoticeSent,
    registry::{Command, Confirmation, Refusal},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    links::link_pages::{ChangeError, LinkPages, PublicUrl},
    writing::body::Block,
};

/// The author of the change in the audit log.
const BY: &str = "confirmation link";
/// The period for which confirmation mails are counted.
const PERIOD: SignedDuration = SignedDuration::from_hours(24);
/// How many confirmation mails an address gets in [`PERIOD`], for all accounts together.
const MAX_MAILS_PER_ADDRESS: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) codes: ConfirmationCodes,
    pub(crate) public_url: Option<PublicUrl>,
}

impl Asking {
    pub(crate) fn url(&self, code: &str) -> Option<String> {
        self.public_url.as_ref().map(|url| url.at("confirm", code))
    }
}

/// The start of the [`PERIOD`] that ends now.
pub(crate) fn counted_since(now: Timestamp) -> Timestamp {
    now.checked_sub(PERIOD).unwrap_or(Timestamp::MIN)
}

/// Refuses to ask the owner of an address too often, given the confirmation mails since [`counted_since`].
pub(crate) fn may_ask(sent: &[NoticeSent], account: &AccountId, email: &str) -> Result<(), String> {
    let to_owner = sent.iter().filter(|sent| sent.recipients.iter().any(|to| to.eq_ignore_ascii_case(email)));
    let accounts: Vec<_> = to_owner.map(|sent| &sent.account).collect();
    if accounts.contains(&account) {
        return Err("the owner was asked within the last 24 hours".to_owned());
    }
    if accounts.len() >= MAX_MAILS_PER_ADDRESS {
        return Err(format!("the owner was asked {MAX_MAILS_PER_ADDRESS} times within the last 24 hours"));
    }
    Ok(())
}

struct Confirmer {
    asking: Asking,
    pages: LinkPages,
}

/// `GET` shows the question, `POST` confirms the address.
pub(crate) fn routes(asking: Asking, pages: LinkPages) -> Router {
    Router::new().route("/confirm/{code}", get(ask).post(confirm)).with_state(Arc::new(Confirmer { asking, pages }))
}

async fn ask(State(this): State<Arc<Confirmer>>, Path(code): Path<String>) -> Response {
    let Some(asking) = this.read(&code) else { return this.pages.no_link() };
    let question = format!(
        "May we send notices of the account {} to {}? They are about new leads, or about leads that could not be \
         delivered.",
        asking.account, asking.email
    );
    let blocks = vec![Block::Text(question), Block::Confirm("Yes, send me these notices")];
    this.pages.answer(StatusCode::OK, &asking.account, "Confirm your address", blocks)
}

async fn confirm(State(this): State<Arc<Confirmer>>, Path(code): Path<String>) -> Response {
    let Some(asking) = this.read(&code) else { return this.pages.no_link() };
    let words = format!("{} gets notices of the account {} from now on.", asking.email, asking.account);
    match this.pages.change(BY, Command::ConfirmEmail(asking.clone())).await {
        Ok(()) | Err(ChangeError::Refused(Refusal::AlreadyExists { .. })) => {
            this.pages.answer(StatusCode::OK, &asking.account, "Your address is confirmed", vec![Block::Text(words)])
        }
        Err(error) => this.pages.refuse(&asking.account, "Not yet confirmed", error),
    }
}

impl Confirmer {
    fn read(&self, code: &str) -> Option<Confirmation> {
        let (account, email) = self.asking.codes.read(code)?;
        Some(Confirmation::new(AccountId::parse(&account).ok()?, &email))
    }
}
