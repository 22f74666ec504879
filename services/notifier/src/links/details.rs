//! The details page behind the link in a mail: it shows the current state of the destination or lead that the mail is
//! about, and the commands for it.
//!
//! A link is authenticated (`crypto::Links`), names one destination or lead, and permits no change. Its reader sees
//! only the content of the mail and the state of the destination. The commands on the page need an API key.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::get,
};
use crypto::{Links, MasterKey};
use domain::{AccountId, DeliveryId, DestinationId, InterfaceId, LeadId};

use crate::{
    links::{
        console::Console,
        link_pages::{LinkPages, PublicUrl},
        target::Target,
    },
    writing::{
        body::{Block, Content},
        templates,
    },
};

/// Separates these links from the other links that the master key signs.
const PURPOSE: &str = "leadline details";

#[derive(Debug, Clone)]
pub(crate) struct Details {
    links: Links,
    public_url: PublicUrl,
}

impl Details {
    pub(crate) fn new(public_url: PublicUrl, key: &MasterKey) -> Self {
        Self { links: Links::new(key, PURPOSE), public_url }
    }

    pub(crate) fn url(&self, account: &AccountId, target: &Target) -> String {
        // No id contains a '/'.
        let content = match target {
            Target::Destination(id, delivery) => {
                let delivery = delivery.map(|delivery| delivery.to_string()).unwrap_or_default();
                format!("{account}/destination/{id}/{delivery}")
            }
            Target::Lead(interface, lead) => {
                format!("{account}/lead/{interface}/{}", lead.as_ref().map_or("", LeadId::as_str))
            }
        };
        self.public_url.at("details", &self.links.write(&content))
    }

    fn read(&self, link: &str) -> Option<(AccountId, Target)> {
        let content = self.links.read(link)?;
        let parts: Vec<_> = content.split('/').collect();
        let &[account, kind, id, rest] = &parts[..] else { return None };
        let rest = Some(rest).filter(|rest| !rest.is_empty());
        let target = match kind {
            "destination" => {
                let delivery = rest.map(DeliveryId::parse).transpose().ok()?;
                Target::Destination(DestinationId::parse(id).ok()?, delivery)
            }
            "lead" => Target::Lead(InterfaceId::parse(id).ok()?, rest.map(LeadId::parse).transpose().ok()?),
            _ => return None,
        };
        Some((AccountId::parse(account).ok()?, target))
    }
}

struct Shower {
    details: Details,
    /// `None` if its URL is not known.
    console: Option<Console>,
    pages: LinkPages,
}

pub(crate) fn routes(details: Details, console: Option<Console>, pages: LinkPages) -> Router {
    Router::new().route("/details/{link}", get(show)).with_state(Arc::new(Shower { details, console, pages }))
}

async fn show(State(this): State<Arc<Shower>>, Path(link): Path<String>) -> Response {
    let Some((account, target)) = this.details.read(&link) else { return this.pages.no_link() };
    let page = match &target {
        Target::Destination(id, delivery) => this.destination(&account, id, *delivery).await,
        Target::Lead(interface, lead) => templates::lead_details(&account, interface, lead.as_ref()),
    };
    let page = match &this.console {
        Some(console) => templates::with_console(page, console.url(&account, &target)),
        None => page,
    };
    this.pages.answer(StatusCode::OK, &account, &page.title, page.blocks)
}

impl Shower {
    async fn destination(&self, account: &AccountId, id: &DestinationId, delivery: Option<DeliveryId>) -> Content {
        let registry = self.pages.registry.snapshot();
        let Some(destination) = registry.destination(id).filter(|destination| destination.account == *account) else {
            let gone = vec![Block::Text(format!("The destination {id} was deleted."))];
            return Content { title: "The destination no longer exists".into(), blocks: gone };
        };
        let held = match destination.is_off() {
            true => self.pages.journal.pending_work().count(id).await.ok(),
            false => None,
        };
        templates::destination_details(destination, held, delivery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_account_and_target_and_is_no_other_link() {
        let key = MasterKey::generate().unwrap();
        let public_url = PublicUrl::parse("https://leads.example/").unwrap();
        let details = Details::new(public_url, &key);
        let account = AccountId::parse("acme").unwrap();
        let destination = DestinationId::parse("dst_1").unwrap();
        let interface = InterfaceId::parse("form").unwrap();
        for target in [
            Target::Destination(destination.clone(), None),
            Target::Destination(destination, Some(DeliveryId::from_uuid(uuid::Uuid::nil()))),
            Target::Lead(interface.clone(), None),
            Target::Lead(interface, Some(LeadId::parse("a:b").unwrap())),
        ] {
            let url = details.url(&account, &target);
            let link = url.strip_prefix("https://leads.example/details/").unwrap();
            assert_eq!(details.read(link), Some((account.clone(), target)));
            let unsubscribing = Links::new(&key, "leadline unsubscribe");
            assert_eq!(unsubscribing.read(link), None);
        }
    }
}
